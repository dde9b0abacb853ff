"""One run of an experiment: its parts and options, and whether they fit together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ltdm.datasets import Dataset
from ltdm.errors import LtdmError, OptionError
from ltdm.methods._objective import Objective, compose
from ltdm.networks._players import build_network
from ltdm.options import changed
from ltdm.registry import Part, plain_parts, stage_code
from ltdm.samplers._options import SampleOptions
from ltdm.training.options import TrainOptions


@dataclass(frozen=True)
class Run:
    """One trained network's options on one data set, and its sample sets'."""

    network: Part
    process: Part
    methods: tuple[Part, ...]
    train: TrainOptions
    samples: Mapping[str, SampleOptions]

    def spec(self) -> dict[str, Any]:
        """Return what training depends on, but for seed, data and code."""
        return {
            "network": self.network.plain(), "process": self.process.plain(),
            "method": plain_parts(self.methods), "train": changed(self.train),
        }  # fmt: skip

    def train_code(self) -> str:
        """Return the digest of the code that training runs."""
        return stage_code("train", self.network, self.process, *self.methods)

    def objective(self, class_counts: list[int]) -> Objective:
        """Return what is minimised on a data set with these class counts."""
        return compose(self.methods, class_counts)

    def label_use(self, data: Dataset) -> str:
        """Return what a label does: the network's "input", which "network" it is, or "nothing"."""
        return self.objective(data.class_counts).label_use(self.train.conditional)

    def outline(self, data: Dataset) -> nn.Module:
        """Return the network, or one of its networks, with the shapes of its weights alone."""
        shape = data.census.channels, data.census.side, len(data.class_counts), self.train.told()
        with torch.device("meta"):
            return build_network(self.network, self.label_use(data), *shape)

    def sample_code(self, sample_set: str) -> str:
        """Return the digest of the code that sampling runs."""
        sampler = self.samples[sample_set].sampler
        return stage_code("sample", self.network, self.process, sampler)


def fits_data(network: Part, methods: tuple[Part, ...], train: TrainOptions, data: Dataset) -> None:
    """Check what only a run's options and its data together can tell."""
    network.module.check(network.options, data.census.side)
    objective, named = compose(methods, data.class_counts), " and ".join(map(str, methods))
    if objective.compares_labels and not train.conditional:
        raise OptionError(
            ("train", "label_dropout"),
            f"is 1, so the network is unconditional, but {named} compares what it says under"
            " different labels; set it below 1",
        )
    if objective.players and train.label_dropout:
        raise OptionError(
            ("method",),
            f"trains networks that are told no labels, so none can be hidden ({named}): set"
            " train.label_dropout to 0 in the same run",
        )
    train.check_batch(data.class_counts, objective.by_class)


def fits_start(run: Run, start: Run, source: str, data: Dataset) -> None:
    """Refuse to start a run from weights that are not its own network's."""
    both = (start, run)
    facts = {"what a label does": [one.label_use(data) for one in both]}
    facts["the process"] = [str(one.process) for one in both]
    there, here = (
        {name: str(tuple(weight.shape)) for name, weight in one.outline(data).state_dict().items()}
        for one in both
    )
    differing = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    facts |= {name: [there.get(name, "none"), here.get(name, "none")] for name in differing}
    for what, (theirs, mine) in facts.items():
        if theirs != mine:
            raise OptionError(
                ("train", "init_from"),
                f"{source!r} is another kind of network: {what} is {theirs} there, {mine} here",
            )


def fits_run(sample: SampleOptions, process: Part, train: TrainOptions, classes: int) -> None:
    """Check what only a sample set and its run together can tell."""
    if sample.images % classes:
        message = f"is {sample.images}, but must be a multiple of the {classes} classes"
        raise OptionError(("sample", "images"), f"{message}, so that each gets the same number")
    if sample.guidance > 0 and not 0 < train.label_dropout < 1:
        message = (
            "needs a network that was trained both with and without labels: set"
            " train.label_dropout between 0 and 1, or guidance to 0"
        )
        raise OptionError(("sample", "guidance"), message)
    try:
        process.module.build(process.options).grid(sample.sampler.options.steps)
    except LtdmError as error:
        raise OptionError(("sample", "sampler", "steps"), str(error)) from None
