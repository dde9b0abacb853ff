"""Checks that the parts of a run fit together, and fit its data, sample sets and other runs.

All raise an `OptionError` with the path in the run's merged options.
"""

from collections.abc import Sequence
from typing import cast

from torch import nn

from ltdm.config.datasets import Dataset
from ltdm.config.runs import Run
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.registry import Part
from ltdm.samplers._options import SampleOptions
from ltdm.training.ensemble import shard_class_counts
from ltdm.training.options import TrainOptions
from ltdm.training.probe import NUM_LEVELS, ProbeOptions, levels_of

MAX_PROFILE_ERROR = 0.25
"""Largest error of a post-hoc EMA's reconstructed profile, relative to the profile's norm."""
IMAGES_ONLY = {
    "clip_denoised": "clips to [-1, 1], the range of images",
    "window": "needs the variance of an image's pixels",
}
"""Options of samplers that points cannot have, each with the reason."""


def check_run_on_data(run: Run, data: Dataset) -> None:
    """Check a run's network, process, method and training against each other and its data."""
    network, process, train = run.network, run.process, run.train
    network.module.check(network.options, data.info.resolution)
    conditioning = getattr(process.options, "noise_conditioning", "log_sigma")
    expected = getattr(network.module, "NOISE_CONDITIONING", conditioning)
    if conditioning != expected:
        message = f"is {conditioning}, but {network.name} is conditioned on {expected}"
        if hasattr(process.options, "noise_conditioning"):
            message = f"{message}; set that, or choose another process"
            raise OptionError(("process", "noise_conditioning"), message)
        message = f"{process.name}: its noise conditioning {message}; choose another process"
        raise OptionError(("process", "name"), message)
    if train.released:
        return
    objective, methods = run.objective(data.class_counts), " and ".join(map(str, run.methods))
    if objective.plain == "shared" and not has_reserve(network):
        message = f"{methods} compares predictions with and without the network's reserve, and this"
        message = f"{message} network has none; set network.reserve to 0.1, or masks of cm to own"
        raise OptionError(("method",), message)
    if objective.needs_conditional_network and not train.conditional:
        message = f"is 1, which makes the network unconditional, and the loss of {methods} needs"
        raise OptionError(("train", "label_dropout"), f"{message} labels; set it below 1")
    if objective.network_per_class and train.label_dropout:
        message = f"{methods} trains one network per class, which has no labels to drop"
        raise OptionError(("method",), f"{message}; set train.label_dropout to 0 in the same run")
    if objective.needs_bottleneck_width and not hasattr(run.meta_network(data), "bottleneck_width"):
        message = f"{network.name} has no `bottleneck_width`, and {methods} cannot do without it"
        raise OptionError(("network", "name"), f"{message}; choose another network")
    check_training_set(train, data.class_counts, objective.class_blocks)


def has_reserve(network: Part) -> bool:
    """Whether a network has adapters that can be left out."""
    return bool(getattr(network.options, "reserve", 0))


def check_training_set(
    train: TrainOptions, class_counts: Sequence[int], class_blocks: bool
) -> None:
    """Refuse a training set that is too small, or does not divide into equal parts.

    `class_counts` are its images per class; with `class_blocks` a batch has one block per class.
    """
    ensemble, images = train.ensemble, sum(class_counts)
    if ensemble and ensemble.shards > images:
        message = f"is {ensemble.shards}, but the training set has only {images} images; lower it"
        raise OptionError(("train", "ensemble", "shards"), message)
    if ensemble and ensemble.epochs is None and train.steps % (ensemble.shards * ensemble.rounds):
        raise OptionError(
            ("train", "ensemble", "shards"),
            f"is {ensemble.shards}, but the {train.steps} steps do not divide equally among"
            f" {ensemble.shards} shards x {ensemble.rounds} rounds; change one of these numbers, or"
            " set ensemble.epochs",
        )
    if ensemble and train.gpus > 1:
        raise OptionError(
            ("train", "gpus"),
            f"is {train.gpus}, but an ensemble trains the networks of its shards one after the"
            " other, each on one GPU; leave gpus out",
        )
    train.check_processes(train.gpus, len(class_counts) if class_blocks else 0)
    for shard_counts in sorted(shard_class_counts(train, class_counts), key=sum):
        train.check_batch(shard_counts, class_blocks)


def check_init_from(run: Run, start: Run, start_name: str, data: Dataset) -> None:
    """Refuse to start a run from another run's network that differs, or has no EMA weights."""
    if "ema" not in start.weight_source.weights:
        raise OptionError(
            ("train", "init_from"),
            f"needs EMA weights, but {start.train.import_checkpoint}, the checkpoint of"
            f" {start_name!r}, has only the last ones; if those are good to start from, write them"
            " as EMA weights with torch.save({'ema_model': ...}, file)",
        )
    start_fields, own_fields = _comparable_fields(start, data), _comparable_fields(run, data)
    for name in {**start_fields, **own_fields}:
        start_value, own_value = start_fields.get(name, "none"), own_fields.get(name, "none")
        if start_value != own_value:
            message = f"{start_name!r} has another network: {name} is {start_value} there, but"
            message = f"{message} {own_value} in this run; give both the same options"
            raise OptionError(("train", "init_from"), message)


def _comparable_fields(run: Run, data: Dataset) -> dict[str, str]:
    """Return, by description, what two runs must have in common for one to start from the other."""
    weights = run.meta_network(data).state_dict()
    shapes = {name: str(tuple(weight.shape)) for name, weight in weights.items()}
    return {"the use of labels": run.label_role(data), "the process": str(run.process), **shapes}


def check_sampling(sample: SampleOptions, run: Run, data: Dataset) -> None:
    """Check a sample set's options against its run and data."""
    classes, label_role = len(data.class_counts), run.label_role(data)
    if sample.label == "none" and (label_role == "network" or not run.train.label_dropout):
        message = "is none, but the network was never trained without labels; leave it out"
        if label_role != "network":
            message += ", or set train.label_dropout above 0"
        raise OptionError(("sample", "label"), message)
    if sample.label == "class" and sample.num_images % classes and label_role != "nothing":
        message = f"is {sample.num_images}, but must be a multiple of the {classes} classes"
        raise OptionError(("sample", "num_images"), f"{message}, so that each gets the same number")
    if sample.guidance > 0 and not sample.guide_run and not 0 < run.train.label_dropout < 1:
        way_out = "set train.label_dropout between 0 and 1, or guidance to 0"
        message = f"needs a network that was trained both with and without labels; {way_out}"
        raise OptionError(("sample", "guidance"), message)
    if sample.plain and not has_reserve(run.network):
        message = "needs a network with a reserve; set network.reserve, or leave it out, or the"
        message = f"{message} whole sample set by the run's omit_sample_sets"
        raise OptionError(("sample", "plain"), message)
    if sample.guidance_power and label_role == "nothing":
        message = "needs classes, and the network is unconditional (train.label_dropout is 1)"
        raise OptionError(("sample", "guidance_power"), f"{message}; set it to 0")
    if sample.ema_sigma_rel is not None:
        check_ema_width(sample.ema_sigma_rel, run)
    if sample.weights not in run.weight_source.weights:
        only = run.weight_source.weights[0]
        message = f"is {sample.weights}, but {run.train.import_checkpoint} has only {only} weights"
        raise OptionError(("sample", "weights"), f"{message}; set it to {only}")
    sampler = sample.sampler
    for name, reason in IMAGES_ONLY.items():
        if data.info.points and getattr(sampler.options, name, False):
            message = f"{reason}, but the data are points; leave it out"
            raise OptionError(("sample", "sampler", name), message)
    try:
        sampler.module.noise_levels(run.process.module.build(run.process.options), sampler.options)
    except OptionError as error:
        raise OptionError(("sample", "sampler", *error.path), error.message) from None


def check_ema_width(sigma_rel: float, run: Run) -> None:
    """Refuse an EMA width that the snapshots of the training cannot reconstruct."""
    posthoc = None if run.train.released else run.train.posthoc_ema
    path = "sample", "ema_sigma_rel"
    if not posthoc:
        message = "needs snapshots of the training, but this run saves none; set train.posthoc_ema"
        raise OptionError(path, message)
    if (error := posthoc.profile_error(sigma_rel)) > MAX_PROFILE_ERROR:
        raise OptionError(
            path,
            f"is {sigma_rel:g}, but from {posthoc.snapshots} snapshots that average would have an"
            f" error of {error:.0%}; raise train.posthoc_ema.snapshots, or choose a width nearer to"
            f" {', '.join(f'{width:g}' for width in posthoc.sigma_rel)}",
        )


def check_guide(name: str, guide: Run, run: Run, data: Dataset) -> None:
    """Refuse a guide whose network cannot be evaluated on the inputs of the guided one."""
    path = "sample", "guide_run"
    if guide is run:
        raise OptionError(path, f"is {name}, the run itself; choose another run")
    if "ema" not in guide.weight_source.weights:
        raise OptionError(path, f"is {name}, which has no EMA weights; choose another run")
    for aspect, guide_value, own_value in (
        ("process", *(_describe_process(r.process) for r in (guide, run))),
        ("use of labels", guide.label_role(data), run.label_role(data)),
    ):
        if guide_value != own_value or guide_value == "network":
            message = (
                f"is {name}, whose {aspect} is {guide_value}, and that of this run {own_value}"
            )
            raise OptionError(
                path, f"{message}; both must be the same, and neither one network per class"
            )


def _describe_process(process: Part) -> str:
    """Return a process as text, without the options that only affect training."""
    training_only = getattr(process.module, "TRAINING_ONLY", ())
    options = process.to_config().items()
    return ", ".join(f"{name}={value}" for name, value in options if name not in training_only)


def check_probe(probe: ProbeOptions, name: str, run: Run, data: Dataset) -> None:
    """Check the linear probe's options against a run, which messages call `name`, and its data."""
    path = "evaluate", "probe"
    if run.label_role(data) == "network":
        message = f"needs a single network, but {name} trains one per class; take either out"
        raise OptionError(path, message)
    if probe.train_on == "balanced" and data.reference_split != "train":
        message = (
            f"is balanced, but the reference of {name} is the {data.reference_split} split, on"
            " which the probe is tested; set train_on to long-tailed, or the data set's"
            " reference_split to train"
        )
        raise OptionError((*path, "train_on"), message)
    if probe.weights not in run.weight_source.weights:
        only = run.weight_source.weights[0]
        message = f"is {probe.weights}, but {name} has only {only} weights; set it to {only}"
        raise OptionError((*path, "weights"), message)
    num_layers = len(cast(nn.ModuleList, run.meta_network(data).upblocks))
    if (deepest := max(probe.layers)) > num_layers:
        message = f"include out_{deepest}, but the decoder of {name} has only {num_layers} blocks"
        raise OptionError((*path, "layers"), f"{message}; take those above out")
    try:
        levels_of(run.process.module.build(run.process.options), probe.noise_levels)
    except LtdmError as error:
        message = f"are among {NUM_LEVELS} levels, but the process of {name} has fewer"
        raise OptionError((*path, "noise_levels"), f"{message}; raise its T") from error
