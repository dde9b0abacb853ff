"""A run of an experiment: the options of its network, its training and its sample sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from ltdm.config.datasets import Dataset
from ltdm.networks._per_class import build_network
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import defaults, non_defaults
from ltdm.plumbing.options import option
from ltdm.plumbing.registry import parts_to_config
from ltdm.samplers._options import SampleOptions
from ltdm.training.options import TrainOptions
from ltdm.training.setup import Recipe


@dataclass(frozen=True)
class RunOptions(TrainOptions):
    """Options of `train`: those of training, or a checkpoint that replaces training."""

    import_checkpoint: str | None = option(
        None,
        "File of a released checkpoint (pytorch-ddpm, CBDM, IGD, OC_LT). The run takes its weights"
        " and trains nothing.",
        location=True,
    )

    def __post_init__(self) -> None:
        """Refuse a checkpoint together with a run to start from."""
        super().__post_init__()
        if self.released and self.init_from:
            raise OptionError(
                ("init_from",),
                "cannot be used with import_checkpoint, since that run trains nothing; leave one of"
                " them out, or start from a run that has the checkpoint",
            )

    @property
    def released(self) -> bool:
        """Whether the network comes from a checkpoint instead of training."""
        return self.import_checkpoint is not None


class WeightSource(NamedTuple):
    """Where a run's weights come from: training, or a released checkpoint."""

    content: str = ""
    """Digest of the checkpoint's content; empty if the run is trained."""
    weights: tuple[str, ...] = ("ema", "last")
    """The kinds of weights that the run's weight file has."""


TRAINED_HERE = WeightSource()


@dataclass(frozen=True)
class Run(Recipe):
    """The options of one run on one data set, and those of its sample sets by name."""

    train: RunOptions
    samples: Mapping[str, SampleOptions]
    weight_source: WeightSource = TRAINED_HERE

    def spec(self) -> dict[str, Any]:
        """Return the options on which the network depends, as plain YAML.

        The seed, the data and the code are not among them.
        """
        parts = {"network": self.network.to_config(), "process": self.process.to_config()}
        if self.train.released:
            return {**parts, "content": self.weight_source.content}
        train = non_defaults(self.train)
        if self.train.ensemble and self.train.ensemble.epochs:
            train.pop("steps", None)  # epochs replace them
        return {**parts, "method": parts_to_config(self.methods), "train": train}

    def defaults(self) -> dict[str, Any]:
        """Return the options of `spec` that are at their defaults."""
        parts = {"network": defaults(self.network), "process": defaults(self.process)}
        if self.train.released:
            return parts
        return {**parts, "method": [*map(defaults, self.methods)], "train": defaults(self.train)}

    @property
    def ema_widths(self) -> list[float]:
        """The post-hoc EMA widths, sigma_rel, that the sample sets use, without repeats."""
        widths = (sample.ema_sigma_rel for sample in self.samples.values())
        return [*dict.fromkeys(width for width in widths if width is not None)]

    def label_role(self, data: Dataset) -> str:
        """Return what labels are used for: the network's "input", which "network", or "nothing"."""
        return self.objective(data.class_counts).label_role(self.train.conditional)

    def meta_network(self, data: Dataset) -> nn.Module:
        """Return the network without memory for its weights, on PyTorch's meta device.

        Of a run with one network per class it is one of them.
        """
        info, labels = data.info, len(data.class_counts)
        shape = info.channels, info.resolution, labels, self.train.augment_dim()
        with torch.device("meta"):
            return build_network(self.network, self.label_role(data), *shape)
