"""Where and how large the check runs, and what it trains there."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ltdm.config.datasets import Dataset
from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, read
from ltdm.config.runs import Run
from ltdm.core.device import pick
from ltdm.pipeline.cost import network_cost
from ltdm.tools.bench_runs import noise_like
from ltdm.training.loop import Trainer
from ltdm.training.setup import Recipe, make_trainer
from tests.gpu.rows import Rows

HERE = Path(__file__).parent
NEEDS = "a GPU"
"""What a row says under `needs` where a CPU ran what it can of it."""
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
"""Ways to make an update, as options of `train`."""


@dataclass(frozen=True)
class Setting:
    """What a step is given.

    Attributes:
        out: Folder of the results.
        work: Folder that is gone in the end.
        tiny: Whether everything is as small as can be, to try the check itself.
        rows: Where a step's rows go.
    """

    out: Path
    work: Path
    tiny: bool
    rows: Rows

    @cached_property
    def device(self) -> torch.device:
        """Where to run."""
        return pick()

    @property
    def gpu(self) -> bool:
        """Whether that is a GPU."""
        return self.device.type == "cuda"

    @property
    def needs(self) -> dict[str, str]:
        """What a row says that only a GPU can show."""
        return {} if self.gpu else {"needs": NEEDS}

    def configs(self, family: str) -> list[Path]:
        """Return the config files of the `methods`, of `edm2` or of the `training`."""
        names = [family, f"{family}-tiny"] if self.tiny else [family]
        return [HERE / f"{name}.yaml" for name in names]

    def subject(self, run: str) -> "Subject":
        """Return a run of the methods' config, or of EDM2's."""
        experiment = _experiment(*self.configs("edm2" if run.startswith("edm2") else "methods"))
        dataset = experiment.grid["dataset"][0]
        return Subject(experiment.datasets[dataset], experiment.runs[dataset, run], self.device)


@lru_cache
def _experiment(*files: Path) -> Experiment:
    return Experiment(read([*files]))


class Subject(NamedTuple):
    """A run that can be trained on random pixels."""

    data: Dataset
    run: Run
    device: torch.device

    def learner(self, **train: Any) -> Trainer:
        """Set it up to train with other options of `train`."""
        spec = merge([self.run.spec(), {"train": train}])
        return make_trainer(Recipe.of(spec), 0, *noise_like(self.data), self.device)

    def operations(self) -> float:
        """Return those of its training, an image."""
        spent = network_cost(self.data, replace(self.run, samples={}), [])
        return spent.train_flops / spent.train_images


SMALL = {"ch_mult": [1, 2], "dropout": 0.0}
EDM2 = {"name": "edm2", "attn": [1], "num_res_blocks": 1, **SMALL}
NETWORKS = {
    "unet": {"name": "unet", "num_res_blocks": 1, **SMALL},
    **{f"edm2-{config}": {**EDM2, "config": config} for config in "CEG"},
}
PROCESSES = {"unet": "vp", "edm2-C": {"name": "edm", "logvar": "linear"}}
METHODS: dict[str, Any] = {
    "ddpm": "ddpm",
    "cbdm": "cbdm",
    "oclt": "oclt",
    "ccua": "ccua",
    "agc": "agc",
    "igd-shared": {"name": "igd", "mode": "shared", "peers": {"sample": 1}},
    "igd-released": {"name": "igd", "mode": "released", "beta": 1.0},
    "igd-separate": {"name": "igd", "peers": {"sample": 1}},
}


def small(
    setting: Setting,
    method: str,
    device: torch.device,
    network: str = "unet",
    dropout: float = 0.0,
    **train: Any,
) -> Trainer:
    """Set up a small network on random pixels in float32, for a check of what an update does."""
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
    return make_trainer(Recipe.of(spec), 0, images, np.repeat(np.arange(10), 30), device)
