"""Device and size of the check, and the networks that it trains."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ltdm.config.datasets import Dataset
from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, read_config
from ltdm.config.runs import Run
from ltdm.core.device import pick_device
from ltdm.pipeline.cost import network_cost
from ltdm.tools.bench_runs import random_images_like
from ltdm.training.loop import Trainer
from ltdm.training.setup import Recipe, make_trainer
from tests.gpu.rows import Rows

FOLDER = Path(__file__).parent
NEEDS = "a GPU"
"""Value of `needs` in a row that a CPU can only measure in part."""
VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {"graph": "none", "compile": False},
    "one graph": {"graph": "auto", "compile": False},
    "compiled": {"graph": "none", "compile": True},
    "compiled, one graph": {"graph": "auto", "compile": True},
    "bf16-master, compiled, one graph": {
        "graph": "auto",
        "compile": True,
        "precision": "bf16-master",
    },
}
"""Variants of the training step, as options of `train`."""


@dataclass(frozen=True)
class Setting:
    """Arguments of a step.

    Attributes:
        out: Folder of the results.
        work: Temporary folder.
        tiny: Whether everything is as small as possible, to test the check itself.
        rows: Rows of the step.
    """

    out: Path
    work: Path
    tiny: bool
    rows: Rows

    @cached_property
    def device(self) -> torch.device:
        """Device to run on."""
        return pick_device()

    @property
    def gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def needs(self) -> dict[str, str]:
        """Figure of a row that only a GPU can complete."""
        return {} if self.gpu else {"needs": NEEDS}

    def configs(self, family: str) -> list[Path]:
        """Return the config files of a family: `methods`, `edm2` or `training`."""
        names = [family, f"{family}-tiny"] if self.tiny else [family]
        return [FOLDER / f"{name}.yaml" for name in names]

    def subject(self, run: str) -> "Subject":
        """Return a run of the methods' config, or of EDM2's."""
        experiment = _experiment(*self.configs("edm2" if run.startswith("edm2") else "methods"))
        dataset = experiment.grid["dataset"][0]
        return Subject(experiment.datasets[dataset], experiment.runs[dataset, run], self.device)


@lru_cache
def _experiment(*files: Path) -> Experiment:
    return Experiment(read_config([*files]))


class Subject(NamedTuple):
    """A run to train on random pixels."""

    data: Dataset
    run: Run
    device: torch.device

    def learner(self, **train: Any) -> Trainer:
        """Return its trainer, with other options of `train`."""
        spec = merge([self.run.spec(), {"train": train}])
        return make_trainer(Recipe.from_spec(spec), 0, *random_images_like(self.data), self.device)

    def operations(self) -> float:
        """Return the floating-point operations of its training, per image."""
        estimate = network_cost(self.data, replace(self.run, samples={}), [])
        return estimate.train_flops / estimate.train_images


SMALL = {"ch_mult": [1, 2], "dropout": 0.0}
EDM2 = {"name": "edm2", "attn": [1], "num_res_blocks": 1, **SMALL}
NETWORKS = {
    "unet": {"name": "unet", "num_res_blocks": 1, "reserve": 0.1, **SMALL},
    **{f"edm2-{config}": {**EDM2, "config": config} for config in "CEG"},
}
PROCESSES = {"unet": "vp", "edm2-C": {"name": "edm", "logvar": "linear"}}
METHODS: dict[str, Any] = {
    "ddpm": "ddpm",
    "cbdm": "cbdm",
    "oclt": "oclt",
    "ccua": "ccua",
    "agc": "agc",
    "coral": "coral",
    "diffrop": "diffrop",
    "cm": "cm",
    "cm-shared": {"name": "cm", "masks": "shared"},
    "igd-shared": {"name": "igd", "mode": "shared", "peers": {"sample": 1}},
    "igd-released": {"name": "igd", "mode": "released", "beta": 1.0},
    "igd-separate": {"name": "igd", "peers": {"sample": 1}},
}


def small_trainer(
    setting: Setting,
    method: str,
    device: torch.device,
    network: str = "unet",
    dropout: float = 0.0,
    **train: Any,
) -> Trainer:
    """Return the trainer of a small network on random pixels, in float32 by default."""
    ch, groups, side = (8, 4, 8) if setting.tiny else (32, 8, 16)
    stream = np.random.default_rng(0)
    images = stream.integers(0, 256, (300, 3, side, side), dtype=np.uint8)
    shape = {**NETWORKS[network], "ch": ch, "norm_groups": groups, "dropout": dropout}
    options = {
        "steps": 1000,
        "batch_size": 20,
        "warmup_steps": 0,
        "lr": 1e-3,
        "precision": "fp32",
        "augment": "ada",
        "label_dropout": 0.0 if method == "igd-separate" else 0.1,
        **train,
    }
    spec = {
        "network": shape,
        "process": PROCESSES.get(network, "edm"),
        "method": METHODS[method],
        "train": options,
    }
    return make_trainer(Recipe.from_spec(spec), 0, images, np.repeat(np.arange(10), 30), device)
