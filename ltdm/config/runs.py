"""One run of an experiment: its parts and options, and whether they fit together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from ltdm.config.datasets import Dataset
from ltdm.networks._players import build_network
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import defaults, non_defaults
from ltdm.plumbing.options import option
from ltdm.plumbing.registry import parts_to_config
from ltdm.samplers._options import SampleOptions
from ltdm.training.options import TrainOptions
from ltdm.training.setup import Recipe


@dataclass(frozen=True)
class RunOptions(TrainOptions):
    """Options of training, or a checkpoint instead, of which the training's code knows nothing."""

    import_checkpoint: str | None = option(
        None,
        "A checkpoint that others released (pytorch-ddpm, CBDM, IGD, OC_LT): its weights are taken"
        " and nothing is trained.",
        location=True,
    )

    def __post_init__(self) -> None:
        """Refuse two origins."""
        super().__post_init__()
        if self.released and self.init_from:
            raise OptionError(
                ("init_from",),
                "goes with no checkpoint, of which nothing is trained; leave one of them out, or"
                " start from a run that has the checkpoint",
            )

    @property
    def released(self) -> bool:
        """Whether the network is taken from a checkpoint."""
        return self.import_checkpoint is not None


class WeightSource(NamedTuple):
    """What a run's checkpoint is."""

    content: str = ""
    """Digest that changes with what it holds; empty where the run is trained."""
    weights: tuple[str, ...] = ("ema", "last")
    """The sets of weights that the network's file has."""


TRAINED_HERE = WeightSource()


@dataclass(frozen=True)
class Run(Recipe):
    """One network's options on one data set, and its sample sets'."""

    train: RunOptions
    samples: Mapping[str, SampleOptions]
    weight_source: WeightSource = TRAINED_HERE

    def spec(self) -> dict[str, Any]:
        """Return what the network depends on, but for seed, data and code."""
        parts = {"network": self.network.to_config(), "process": self.process.to_config()}
        if self.train.released:
            return {**parts, "content": self.weight_source.content}
        train = non_defaults(self.train)
        if self.train.ensemble and self.train.ensemble.epochs:
            train.pop("steps", None)  # epochs stand in their place
        return {**parts, "method": parts_to_config(self.methods), "train": train}

    def defaults(self) -> dict[str, Any]:
        """Return the options at their defaults that the network depends on."""
        parts = {"network": defaults(self.network), "process": defaults(self.process)}
        if self.train.released:
            return parts
        return {**parts, "method": [*map(defaults, self.methods)], "train": defaults(self.train)}

    @property
    def ema_widths(self) -> list[float]:
        """The ema_widths of the averages that the sample sets ask for, each once."""
        asked = (one.ema_sigma_rel for one in self.samples.values())
        return [*dict.fromkeys(width for width in asked if width is not None)]

    def label_use(self, data: Dataset) -> str:
        """Return what a label does: the network's "input", which "network" it is, or "nothing"."""
        return self.objective(data.class_counts).label_use(self.train.conditional)

    def meta_network(self, data: Dataset) -> nn.Module:
        """Return the network, or one of its networks, with the shapes of its weights alone."""
        shape = data.census.channels, data.census.side, len(data.class_counts), self.train.told()
        with torch.device("meta"):
            return build_network(self.network, self.label_use(data), *shape)
