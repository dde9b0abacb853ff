"""Whether the parts of a run fit together, with its data, its sample sets and other runs."""

from collections.abc import Sequence
from typing import cast

from torch import nn

from ltdm.config.datasets import Dataset
from ltdm.config.runs import Run
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.registry import Part
from ltdm.samplers._options import SampleOptions
from ltdm.training.ensemble import shares
from ltdm.training.options import TrainOptions
from ltdm.training.probe import LEVELS, ProbeOptions, levels_of

MAX_PROFILE_ERROR = 0.25
"""How far a reconstructed average may be off, as a share of its profile's norm."""


def check_run_on_data(run: Run, data: Dataset) -> None:
    """Check what only a run's options and its data together can tell."""
    network, process, train = run.network, run.process, run.train
    network.module.check(network.options, data.census.side)
    told = getattr(process.options, "noise_conditioning", "log_sigma")
    if told != getattr(network.module, "HEARS", told):
        message = f"is {told}, and {network.name} hears levels as {network.module.HEARS}; set that"
        raise OptionError(("process", "noise_conditioning"), message)
    if train.released:
        return
    objective, named = run.objective(data.class_counts), " and ".join(map(str, run.methods))
    if objective.compares_labels and not train.conditional:
        compared = f"{named} compares what it says under different labels"
        message = f"is 1, so the network is unconditional, but {compared}; set it below 1"
        raise OptionError(("train", "label_dropout"), message)
    if objective.players and train.label_dropout:
        message = f"trains networks that are told no labels, so none can be hidden ({named})"
        raise OptionError(("method",), f"{message}: set train.label_dropout to 0 in the same run")
    check_training_set(train, data.class_counts, objective.by_class)


def check_training_set(train: TrainOptions, class_counts: Sequence[int], by_class: bool) -> None:
    """Refuse a training set that is too small, or cannot be shared out in equal parts."""
    one, images = train.ensemble, sum(class_counts)
    if one and one.shards > images:
        message = f"is {one.shards}, but the training set has only {images} images"
        raise OptionError(("train", "ensemble", "shards"), message)
    if one and one.epochs is None and train.steps % (one.shards * one.rounds):
        raise OptionError(
            ("train", "ensemble", "shards"),
            f"is {one.shards}, and {one.shards} shards x {one.rounds} rounds do not divide"
            f" steps, {train.steps}, of which each shard has the same number in a round;"
            " change one of them, or set ensemble.epochs",
        )
    if one and train.gpus > 1:
        raise OptionError(
            ("train", "gpus"),
            f"is {train.gpus}, but an ensemble trains the networks of its shards one after the"
            " other, each in one process; leave gpus out",
        )
    train.check_processes(train.gpus, len(class_counts) if by_class else 0)
    for shard in sorted(shares(train, class_counts), key=sum):
        train.check_batch(shard, by_class)


def check_init_from(run: Run, start: Run, source: str, data: Dataset) -> None:
    """Refuse to start a run from weights that are not its own network's, or not averaged."""
    if "ema" not in start.weight_source.weights:
        raise OptionError(
            ("train", "init_from"),
            f"needs averaged weights, and {start.train.import_checkpoint}, which {source!r} is"
            " taken from, has only the last ones; where they are good to start from, write them"
            " as averaged, torch.save({'ema_model': ...}, file)",
        )
    there, here = _comparable_fields(start, data), _comparable_fields(run, data)
    for what in {**there, **here}:
        theirs, mine = there.get(what, "none"), here.get(what, "none")
        if theirs != mine:
            message = f"is another kind of network: {what} is {theirs} there, {mine} here"
            raise OptionError(("train", "init_from"), f"{source!r} {message}")


def _comparable_fields(run: Run, data: Dataset) -> dict[str, str]:
    """Return in words what two runs must have in common for one to start from the other."""
    shapes = {name: str(tuple(w.shape)) for name, w in run.meta_network(data).state_dict().items()}
    return {"what a label does": run.label_use(data), "the process": str(run.process), **shapes}


def check_sampling(sample: SampleOptions, run: Run, data: Dataset) -> None:
    """Check what only a sample set and its run together can tell."""
    classes = len(data.class_counts)
    if sample.num_images % classes and run.label_use(data) != "nothing":
        message = f"is {sample.num_images}, but must be a multiple of the {classes} classes"
        raise OptionError(("sample", "num_images"), f"{message}, so that each gets the same number")
    if sample.guidance > 0 and not sample.guide_run and not 0 < run.train.label_dropout < 1:
        way_out = "set train.label_dropout between 0 and 1, or guidance to 0"
        message = f"needs a network that was trained both with and without labels: {way_out}"
        raise OptionError(("sample", "guidance"), message)
    if sample.ema_sigma_rel is not None:
        check_ema_width(sample.ema_sigma_rel, run)
    if sample.weights not in run.weight_source.weights:
        held = run.weight_source.weights[0]
        message = f"is {sample.weights}, but {run.train.import_checkpoint} has {held} weights alone"
        raise OptionError(("sample", "weights"), f"{message}; set it to {held}")
    sampler = sample.sampler
    if data.census.points and getattr(sampler.options, "clip_denoised", False):
        message = "keeps images inside [-1, 1], and these are points, which lie anywhere; drop it"
        raise OptionError(("sample", "sampler", "clip_denoised"), message)
    try:
        sampler.module.levels(run.process.module.build(run.process.options), sampler.options)
    except LtdmError as error:
        raise OptionError(("sample", "sampler", "steps"), str(error)) from None


def check_ema_width(sigma_rel: float, run: Run) -> None:
    """Refuse an average that the snapshots of a training cannot give."""
    posthoc = None if run.train.released else run.train.posthoc_ema
    path = "sample", "ema_sigma_rel"
    if not posthoc:
        message = "needs snapshots of the training, and this run has none: set train.posthoc_ema"
        raise OptionError(path, message)
    if (error := posthoc.error(sigma_rel)) > MAX_PROFILE_ERROR:
        raise OptionError(
            path,
            f"is {sigma_rel:g}, and from {posthoc.snapshots} snapshots that average would be off by"
            f" {error:.0%}; set train.posthoc_ema.snapshots higher, or take a width nearer to"
            f" {', '.join(f'{width:g}' for width in posthoc.sigma_rel)}",
        )


def check_guide(name: str, guide: Run, run: Run, data: Dataset) -> None:
    """Refuse a guide whose network cannot be asked what the guided one is."""
    path = "sample", "guide_run"
    if guide is run:
        raise OptionError(path, f"is {name}, the run itself, which tells it nothing new")
    if "ema" not in guide.weight_source.weights:
        raise OptionError(path, f"is {name}, which has no averaged weights")
    for what, theirs, mine in (
        ("process", *(_describe_process(one.process) for one in (guide, run))),
        ("use of labels", guide.label_use(data), run.label_use(data)),
    ):
        if theirs != mine or theirs == "network":
            message = f"is {name}, whose {what} is {theirs}, and here it is {mine}"
            raise OptionError(path, f"{message}; both must be alike, and one network each")


def _describe_process(process: Part) -> str:
    """Write a process without the options that nothing but training depends on."""
    told, aside = process.to_config(), getattr(process.module, "TRAINING", ())
    return ", ".join(f"{name}={value}" for name, value in told.items() if name not in aside)


def check_probe(probe: ProbeOptions, name: str, run: Run, data: Dataset) -> None:
    """Check what only the linear probe, a run and its data together can tell."""
    path = "evaluate", "probe"
    if run.label_use(data) == "network":
        message = f"needs one network, and {name} trains one for each class; take either out"
        raise OptionError(path, message)
    if probe.train_on == "balanced" and data.reference_split != "train":
        message = (
            f"is balanced, but the reference of {name} is its {data.reference_split} split, which"
            " the probe is tested on; set it to long-tailed, or the data set's reference_split to"
            " train"
        )
        raise OptionError((*path, "train_on"), message)
    if probe.weights not in run.weight_source.weights:
        message = f"is {probe.weights}, but {name} has {run.weight_source.weights[0]} weights alone"
        raise OptionError((*path, "weights"), message)
    taps = len(cast(nn.ModuleList, run.meta_network(data).upblocks))
    if (last := max(probe.layers)) > taps:
        message = f"asks for out_{last}, but {name} has {taps} blocks on the way up"
        raise OptionError((*path, "layers"), f"{message}; ask for none above")
    try:
        levels_of(run.process.module.build(run.process.options), probe.noise_levels)
    except LtdmError as error:
        message = f"are among {LEVELS}, and the process of {name} has fewer levels so spaced"
        raise OptionError((*path, "noise_levels"), message) from error
