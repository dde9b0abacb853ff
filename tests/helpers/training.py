"""Small trainings of every method on random images, for tests of training and networks."""

import io

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ltdm.training.setup import Recipe, make_trainer

CPU = torch.device("cpu")
SPEC = {
    "network": {"name": "unet", "ch": 8, "norm_groups": 4, "ch_mult": [1, 2], "num_res_blocks": 1},
    "process": "vp",
    "method": "cbdm",
    "train": {"steps": 12, "batch_size": 8, "lr": 1e-3, "warmup_steps": 3, "log_every": 3},
}


def data(n=40):
    stream = np.random.default_rng(0)
    images = stream.integers(0, 256, size=(n, 1, 8, 8)).astype(np.uint8)
    return images, np.repeat([0, 1, 2], [n - 10, 7, 3])


def trainer(seed=0, method="cbdm", **train):
    spec = {**SPEC, "method": method, "train": {**SPEC["train"], **train}}
    return make_trainer(Recipe.from_spec(spec), seed, *data(), CPU)


def run(a_trainer):
    """Train; return all saved states, as the bytes of files."""
    saved = []

    def save(state):
        file = io.BytesIO()
        torch.save(state, file)
        saved.append(file)

    a_trainer.fit(save)
    return saved


def same(one, other):
    """Whether two trainers have the same weights and averages, to the bit."""
    weights = [
        {**t.net.state_dict(), **{f"ema.{k}": v for k, v in t.ema.average.items()}}
        for t in (one, other)
    ]
    return all(torch.equal(v, weights[1][k]) for k, v in weights[0].items())


METHODS = {
    "ddpm": "ddpm",
    "cbdm": "cbdm",
    "composed": [
        "oclt",
        "cbdm",
        "agc",
        {"name": "ccua", "al": 0},
        {"name": "coral", "weight": 1.0},
    ],
    "cm": [{"name": "cm", "masks": "shared"}, {"name": "coral", "weight": 1.0}],
    "cm-own-masks": ["cm", "cbdm"],
    "ccua": "ccua",
    "shared": {"name": "igd", "mode": "shared", "peers": {"sample": 1}},
    "released": {"name": "igd", "mode": "released"},
    "separate": {"name": "igd", "peers": {"sample": 1}},
    "edm2": "cbdm",
    "edm2-separate": {"name": "igd", "peers": {"sample": 1}},
}
EDM2 = {
    "network": {
        "name": "edm2",
        "ch": 8,
        "norm_groups": 4,
        "ch_mult": [1, 2],
        "attn": [1],
        "num_res_blocks": 1,
    },
    "process": "edm",
}


def spec_of(name, **train):
    """Return the spec of one of METHODS; its name may say EDM2's network and process, or a reserve.

    Two drop the labels of all images of a batch at once, a third of the batches.
    """
    parts = EDM2 if name.startswith("edm2") else {}
    if name.startswith("cm"):
        parts = {"network": {**SPEC["network"], "reserve": 0.2}}
    dropout = 0.0 if name.endswith("separate") else 0.1
    if name in ("ccua", "released"):
        train = {"label_dropout": 0.3, "label_dropout_per": "batch", **train}
    train = {**SPEC["train"], "label_dropout": dropout, **train}
    return {**SPEC, **parts, "method": METHODS[name], "train": train}


def learner_of(name, **train):
    return make_trainer(Recipe.from_spec(spec_of(name, **train)), 0, *data(), CPU)


class NoWaiting(TorchDispatchMode):
    """Raises where the host would wait for a device: for a value, or a data-dependent shape."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        name = function.name().removeprefix("aten::").partition(".")[0]
        assert not name.startswith(self.WAITS), f"the step waits for {name}"
        return function(*args, **(kwargs or {}))
