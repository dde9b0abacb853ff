"""One run of an experiment: its parts and options, and whether they fit together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from ltdm.datasets import Dataset
from ltdm.errors import LtdmError, OptionError
from ltdm.methods._objective import Objective, compose
from ltdm.networks._players import build_network
from ltdm.options import changed, option
from ltdm.registry import Part, plain_parts, stage_code
from ltdm.samplers._options import SampleOptions
from ltdm.training.ensemble import Ensemble
from ltdm.training.options import TrainOptions


@dataclass(frozen=True)
class RunOptions(TrainOptions):
    """Where a run's network comes from: training, or a checkpoint.

    Apart from the options of training, whose code does not know of it.
    """

    checkpoint: str | None = option(
        None,
        "A checkpoint that others released (pytorch-ddpm, CBDM, IGD, OC_LT): its weights are taken"
        " and nothing is trained.",
        place=True,
    )

    def __post_init__(self) -> None:
        """Refuse two origins."""
        if self.released and self.init_from:
            raise OptionError(
                ("init_from",),
                "goes with no checkpoint, of which nothing is trained; leave one of them out, or"
                " start from a run that has the checkpoint",
            )

    @property
    def released(self) -> bool:
        """Whether the network is taken from a checkpoint."""
        return self.checkpoint is not None

    @property
    def apart(self) -> Ensemble | None:
        """The ensemble whose rounds are jobs of their own, if there is one."""
        one = None if self.released else self.ensemble
        return one if one and one.parallel else None


class Origin(NamedTuple):
    """What a run's checkpoint is.

    Attributes:
        content: Digest that changes with what it holds; empty where the run is trained.
        weights: The sets of weights that the network's file has.
    """

    content: str = ""
    weights: tuple[str, ...] = ("ema", "raw")


TRAINED = Origin()


@dataclass(frozen=True)
class Run:
    """One network's options on one data set, and its sample sets'."""

    network: Part
    process: Part
    methods: tuple[Part, ...]
    train: RunOptions
    samples: Mapping[str, SampleOptions]
    origin: Origin = TRAINED

    def spec(self) -> dict[str, Any]:
        """Return what the network depends on, but for seed, data and code."""
        parts = {"network": self.network.plain(), "process": self.process.plain()}
        if self.train.released:
            return {**parts, "content": self.origin.content}
        train = changed(self.train)
        if self.train.ensemble and self.train.ensemble.epochs:
            train.pop("updates", None)  # epochs stand in their place
        return {**parts, "method": plain_parts(self.methods), "train": train}

    def train_code(self) -> str:
        """Return the digest of the code that makes the network."""
        if self.train.released:
            return stage_code("released", self.network, self.process)
        stage = "ensemble" if self.train.ensemble else "train"
        return stage_code(stage, self.network, self.process, *self.methods)

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


def fits_data(network: Part, methods: tuple[Part, ...], train: RunOptions, data: Dataset) -> None:
    """Check what only a run's options and its data together can tell."""
    network.module.check(network.options, data.census.side)
    if train.released:
        return
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
    train.check_data(data.class_counts, objective.by_class)


def fits_start(run: Run, start: Run, source: str, data: Dataset) -> None:
    """Refuse to start a run from weights that are not its own network's, or not averaged."""
    if "ema" not in start.origin.weights:
        raise OptionError(
            ("train", "init_from"),
            f"needs averaged weights, and {start.train.checkpoint}, which {source!r} is taken from,"
            " has only the last ones; where they are good to start from, write them as averaged,"
            " torch.save({'ema_model': ...}, file)",
        )
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


def fits_run(sample: SampleOptions, run: Run, data: Dataset) -> None:
    """Check what only a sample set and its run together can tell."""
    classes = len(data.class_counts)
    if sample.images % classes and run.label_use(data) != "nothing":
        message = f"is {sample.images}, but must be a multiple of the {classes} classes"
        raise OptionError(("sample", "images"), f"{message}, so that each gets the same number")
    if sample.guidance > 0 and not 0 < run.train.label_dropout < 1:
        message = (
            "needs a network that was trained both with and without labels: set"
            " train.label_dropout between 0 and 1, or guidance to 0"
        )
        raise OptionError(("sample", "guidance"), message)
    if sample.weights not in run.origin.weights:
        raise OptionError(
            ("sample", "weights"),
            f"is {sample.weights}, but {run.train.checkpoint} has {run.origin.weights[0]} weights"
            f" alone; set it to {run.origin.weights[0]}",
        )
    try:
        sampler = sample.sampler
        sampler.module.levels(run.process.module.build(run.process.options), sampler.options)
    except LtdmError as error:
        raise OptionError(("sample", "sampler", "steps"), str(error)) from None
