"""Requests, data sets and networks for tests of stages."""

from ltdm.stages import prepare, train

NETWORK = {"name": "unet", "ch": 8, "norm_groups": 4, "ch_mult": [1, 2], "num_res_blocks": 1}
TRAIN = {"steps": 6, "batch_size": 8, "lr": 1e-3, "warmup_steps": 2, "log_every": 2}
SPEC = {"network": NETWORK, "process": {"name": "vp"}, "method": {"name": "ddpm"}, "train": TRAIN}
DIGITS = {"source": {"name": "digits"}, "longtail": {"imbalance": 0.1}, "reference_split": "train"}
PLAIN_SAMPLING = {"guide": None, "shards": None}
"""Arguments of a sample set without a guide, sampled in one job."""


def make_request(spec, seed=0, **more):
    """Return the request of a network or of a sample set, with further keys."""
    return {"spec": spec, "seed": seed, "code": "this", "places": {}, **more}


def prepare_dataset(folder, *, content="", places=(), **spec):
    """Prepare a data set in a folder; return its files by name."""
    files = {
        "train": folder / "train.npz",
        "reference": folder / "reference.npz",
        "counts": folder / "counts.csv",
        "record": folder / "data.json",
    }
    request = {**spec, "content": content, "code": "this", "places": dict(places)}
    prepare.run(request, **files)
    return files


def network_files(folder):
    """Return the files of a network in a folder, by keyword of the stage."""
    names = {"model": "model.safetensors", "history": "history.csv", "record": "run.json"}
    return {key: folder / name for key, name in names.items()}


def train_on_digits(root):
    """Prepare the digits and train a network on them in a folder; return the folder."""
    data = prepare_dataset(root, **DIGITS)["train"]
    train.run(make_request(SPEC), data=data, init=None, **network_files(root))
    return root
