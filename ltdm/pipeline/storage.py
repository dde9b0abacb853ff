"""The disk that an experiment's results take."""

from ltdm.config.datasets import Dataset
from ltdm.config.experiment import Experiment
from ltdm.config.runs import Run
from ltdm.features import _inception
from ltdm.features._base import ExtractorModule
from ltdm.plumbing.registry import Part


def results_bytes(experiment: Experiment) -> float:
    """Return the bytes of all results; it builds each network's layers, without their weights."""
    total, seeds = 0.0, len(experiment.grid["seed"])
    for dataset, data in experiment.datasets.items():
        lengths = numbers_per_image(experiment, data)
        total += data_bytes(data, lengths)
        for run in [run for key, run in experiment.runs.items() if key[0] == dataset]:
            total += seeds * network_bytes(data, run, lengths, count_parameters(data, run))
    return total


def count_parameters(data: Dataset, run: Run) -> int:
    """Return the number of weights of a run's network, or of its networks per class."""
    per_class = run.objective(data.class_counts).network_per_class
    number = sum(p.numel() for p in run.meta_network(data).parameters())
    return number * (len(data.class_counts) if per_class else 1)


def numbers_per_image(experiment: Experiment, data: Dataset) -> list[int]:
    """Return how many 4-byte numbers each extractor and each neighbour search stores per image."""
    features = [floats_per_image(part, data) for part in experiment.evaluate.extractors]
    # A neighbour takes 13 bytes: its distance, its number, whether it is mirrored.
    return features + [13 * m.options.k // 4 for m in experiment.evaluate.neighbour_metrics]


def network_bytes(data: Dataset, run: Run, lengths: list[int], parameters: int) -> float:
    """Return the bytes of a run's model with so many `parameters`, its images and their features.

    `lengths` as in `numbers_per_image`.
    """
    images = sum(options.num_images for options in run.samples.values())
    return _bytes_per_weight(run) * parameters + images * (data.info.image_bytes + 4 * sum(lengths))


def floats_per_image(extractor: Part, data: Dataset) -> int:
    """Return how many numbers an extractor gives per image: its features and probabilities."""
    module: ExtractorModule = extractor.module
    info = data.info
    classes = {"": 0, "classes": len(info.class_counts), "imagenet": _inception.CLASSES}
    features = module.feature_dim(extractor.options, info.channels, info.resolution)
    return features + classes[module.PROBABILITIES]


def _bytes_per_weight(run: Run) -> int:
    """Return the bytes per weight in all files of a network.

    The model file has 8: the last weights and their EMA. Each snapshot adds to it, and each
    post-hoc EMA is a file of 4.
    """
    posthoc = None if run.train.released else run.train.posthoc_ema
    return 8 + (posthoc.weight_bytes if posthoc else 0) + 4 * len(run.ema_widths)


def data_bytes(data: Dataset, lengths: list[int]) -> float:
    """Return the bytes of a prepared data set: reference, its features, training set."""
    num_reference = sum(data.info.class_counts)
    images = data.info.image_bytes * (num_reference + sum(data.class_counts))
    return images + 4 * num_reference * sum(lengths)
