"""What tests of stages share: digits that are prepared, and a network that is trained on them."""

from ltdm.stages import prepare, train

NETWORK = {"name": "unet", "ch": 8, "groups": 4, "ch_mult": [1, 2], "num_res_blocks": 1}
TRAIN = {"updates": 6, "batch": 8, "lr": 1e-3, "warmup": 2, "log_every": 2}
SPEC = {"network": NETWORK, "process": {"name": "vp"}, "method": {"name": "ddpm"}, "train": TRAIN}


def digits(root):
    """Make a data set and a network in a folder; return it."""
    spec = {"source": {"name": "digits"}, "longtail": {"imbalance": 0.1}, "reference": "train",
            "content": ""}  # fmt: skip
    prepare.run(spec, {}, train=root / "train.npz", reference=root / "reference.npz",
                table=root / "counts.csv", record=root / "data.json")  # fmt: skip
    train.run(SPEC, 0, data=root / "train.npz", model=root / "model.safetensors",
              history=root / "history.csv", record=root / "run.json")  # fmt: skip
    return root
