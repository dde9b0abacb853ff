"""What a valid config will probably get wrong: a line each, with the way out.

`ltdm check` prints them, and so does the workflow when it begins. Nothing is refused.
"""

import shutil
from collections.abc import Iterator

import numpy as np
import torch

from ltdm.config.compatibility import has_reserve
from ltdm.config.datasets import Dataset
from ltdm.config.experiment import Experiment
from ltdm.config.runs import Run
from ltdm.core.memory import available_bytes
from ltdm.pipeline.storage import results_bytes
from ltdm.plumbing import environment
from ltdm.plumbing.errors import count_of, shorten
from ltdm.training.ensemble import total_steps

UNEVEN_RATIO = 1.5  # of the largest class of a reference to its smallest
MIN_FIRST_LEVEL = 0.9  # of the timesteps, at the first of which a sampler has pure noise
MAX_INITIAL_SHARE = 0.1  # of the weights before training in their average after it


def warnings(experiment: Experiment, on_this_machine: bool = True) -> list[str]:
    """Return the warnings, each after the data sets or runs that it concerns.

    Those on memory and GPUs are left out unless the jobs run `on_this_machine`.
    """
    places: dict[str, list[str]] = {}
    for name, data in experiment.datasets.items():
        for text in _of_dataset(experiment, name, on_this_machine):
            places.setdefault(text, []).append(name)
        for run_name in [run for its_dataset, run in experiment.runs if its_dataset == name]:
            run = experiment.runs[name, run_name]
            texts = [*_of_probe(experiment, run, data), *_of_samples(experiment, run, data)]
            texts += [*_of_levels(run)]
            if not run.train.released:
                texts += [*_of_classes(run, data), *_of_training(experiment, run, data)]
                texts += [*_of_reserve(run, data)]
            for text in texts:
                places.setdefault(text, []).append(f"{run_name} on {name}")
    lines = [f"{shorten(names)}: {text}" for text, names in places.items()]
    return [*lines, *(_of_machine(experiment) if on_this_machine else ())]


def disk_warnings(experiment: Experiment) -> Iterator[str]:
    """Yield a warning if the results will not fit the disk; this builds each network's layers."""
    root = experiment.layout.root
    needed = results_bytes(experiment)
    folder = next(folder for folder in (root, *root.resolve().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:  # only then look at what is there already, which may take long
        needed -= sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    if needed > free:
        yield (
            f"{root} will take about {_size(needed)} more (`ltdm plan`), but its disk has"
            f" {_size(free)} free; free some, or link results/ to a larger disk"
        )


def _of_dataset(experiment: Experiment, name: str, on_this_machine: bool) -> Iterator[str]:
    """Yield warnings on a data set: an uneven reference, and the memory to prepare it."""
    data = experiment.datasets[name]
    counts = data.info.class_counts
    if max(counts) > UNEVEN_RATIO * min(counts):
        yield (
            f"the reference is uneven, {max(counts)} to {min(counts)} images per class; read"
            " class-wise scores, since a score over several classes compares it with balanced"
            " samples"
        )
    needed, available = data.preparation_bytes, available_bytes()
    is_prepared = experiment.layout.path("prepare.record", dataset=name).exists()
    if on_this_machine and not is_prepared and needed > available:
        yield (
            f"its preparation takes at least {_size(needed)} of memory, and {_size(available)} are"
            " available; use fewer or smaller images, or a machine with more memory"
        )


def _of_probe(experiment: Experiment, run: Run, data: Dataset) -> Iterator[str]:
    """Yield a warning if the probe runs a network without labels that never trained so."""
    seen = run.train.released or run.train.label_dropout
    if experiment.evaluate.probe and not seen and run.label_role(data) == "input":
        yield (
            "was never trained without labels (train.label_dropout is 0), but the probe runs it"
            " without labels; its features may be worse for that, so set train.label_dropout above"
            " 0"
        )


def _of_classes(run: Run, data: Dataset) -> Iterator[str]:
    """Yield a warning if the rounding of `class_sampling` leaves classes without a draw."""
    sampling = run.train.class_sampling
    probabilities = sampling.probabilities(np.array(data.class_counts))
    if probabilities is not None and not probabilities.all():
        never = shorten(np.flatnonzero(probabilities == 0).tolist())
        yield (
            f"train.class_sampling {sampling.to_config()} never draws the classes {never}; raise"
            " brs, or leave released out"
        )


def _of_reserve(run: Run, data: Dataset) -> Iterator[str]:
    """Yield a warning if a method asks a network that has no reserve to go without it."""
    if run.objective(data.class_counts).plain and not has_reserve(run.network):
        yield (
            f"{' and '.join(map(str, run.methods))} compares dropout masks alone, since the network"
            " has no reserve; set network.reserve to 0.1, or keep it as the control that it is"
        )


def _of_training(experiment: Experiment, run: Run, data: Dataset) -> Iterator[str]:
    """Yield warnings on the length of a training: the warm-up, the EMA, and the decay."""
    train = run.train
    class_blocks = run.objective(data.class_counts).class_blocks
    batch_size = train.effective_batch_size(len(data.class_counts) if class_blocks else 0)
    steps = total_steps(train, data.class_counts, class_blocks)
    steps //= train.ensemble.shards if train.ensemble else 1
    unit, warmup = "steps", float(train.warmup_steps)
    if train.warmup_images:
        unit, warmup = "images", train.warmup_images / batch_size
    each = "each shard of the ensemble" if train.ensemble else "training"
    if warmup > steps:
        yield (
            f"the warm-up (train.warmup_{unit}) takes {warmup:,.0f}"
            f" steps, but {each} has only {steps:,}, so the learning rate ends at"
            f" {max(steps - 1, 0) / warmup:.1%} of train.lr; shorten the warm-up"
        )
    share = train.ema_decay**steps
    if share > MAX_INITIAL_SHARE and _uses_average(experiment, run):
        start = f"weights of {train.init_from}" if train.init_from else "first random weights"
        yield (
            f"after {steps:,} steps with train.ema_decay {train.ema_decay:g} the averaged weights"
            f" are still {share:.1%} the {start}; lower train.ema_decay to about"
            f" {max(1 - 5 / steps, 0):.5g}, or set sample.weights to last"
        )
    if train.lr_decay_images and train.lr_decay_images >= steps * batch_size:
        yield (
            f"the learning rate never falls, since train.lr_decay_images is"
            f" {train.lr_decay_images:,} and {each} has {steps * batch_size:,} images; lower it, or"
            " leave it out"
        )


def _uses_average(experiment: Experiment, run: Run) -> bool:
    """Whether a run's plain EMA is used: by a sample set, the probe, or only by another run."""
    probe = experiment.evaluate.probe
    sets = [s for s in run.samples.values() if s.weights == "ema" and s.ema_sigma_rel is None]
    return bool(sets or not run.samples or (probe and probe.weights == "ema"))


def _of_samples(experiment: Experiment, run: Run, data: Dataset) -> Iterator[str]:
    """Yield a warning for each metric that has too few images for a value."""
    evaluate, classes = experiment.evaluate, len(data.class_counts)
    labelled = run.label_role(data) != "nothing"
    for name, sample in run.samples.items():
        has_labels = labelled and sample.label == "class"
        by_class = has_labels and {"class", "worst"} & {*evaluate.groups}
        images = sample.num_images // classes if by_class else sample.num_images
        for metric in evaluate.metrics:
            needed = metric.module.min_images(metric.options)
            if images < needed:
                yield (
                    f"{metric.label} needs {needed} images{' per class' if by_class else ''}, and"
                    f" the sample set {name} has {images}, so its values will be empty; raise"
                    " sample.num_images"
                )


def _of_levels(run: Run) -> Iterator[str]:
    """Yield warnings on sample sets whose sampler starts too low, or meets no level to guide at."""
    process = run.process.module.build(run.process.options)
    for name, sample in run.samples.items():
        sampler = sample.sampler
        *levels, _ = sampler.module.noise_levels(process, sampler.options)
        if process.timesteps and levels[0] < MIN_FIRST_LEVEL * process.timesteps:
            yield (
                f"the sample set {name} starts from pure noise at timestep {levels[0]:g} of"
                f" {process.timesteps}, where the network expects to see some of the image; choose"
                " another sampler.grid, or other sampler.steps"
            )
        if sample.guidance and not any(sample.guidance_weight(process, level) for level in levels):
            pairs = map(process.signal_and_std, levels)
            sigmas = shorten([f"{std / signal:.3g}" for signal, std in pairs])
            yield (
                f"the sample set {name} is not guided, since no noise level of its sampler (sigma"
                f" {sigmas}) is in the interval of sample.guidance_schedule; widen that, or set"
                " guidance to 0"
            )


def _of_machine(experiment: Experiment) -> Iterator[str]:
    """Yield warnings on GPUs that jobs will look for and this machine lacks."""
    device, found = environment.device(), torch.cuda.device_count()
    but = f"but this machine shows {count_of(found, 'GPU')}"
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= found:
        yield (
            f"{environment.DEVICE} is {device}, {but}; jobs that run a network will fail here, so"
            " unset it"
        )
    most = max(run.train.gpus for run in experiment.runs.values())
    if device != "cpu" and 0 < found < most:
        yield f"train.gpus is {most}, {but}, which will be used"


def _size(number: float) -> str:
    """Return a number of bytes as text, such as `3.2 GB`."""
    return f"{number / 1e9:.3g} GB"
