"""Scores of image sets of other projects, from the same stages as those of ltdm's own samples.

Each image set has a folder in the cache, named by the digest of its images. Features are extracted
once per set; those of a reference serve every set that is compared with it.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.external import images as image_sets
from ltdm.external.reference import Reference, store_images
from ltdm.metrics._base import PIXELS, accepts, check_inputs, uses_neighbours
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, sha256
from ltdm.plumbing.registry import Part, stage_digest
from ltdm.plumbing.request import Request
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.stages import features as features_stage
from ltdm.stages import metrics as metrics_stage
from ltdm.stages import neighbours as neighbours_stage

log = logging.getLogger("ltdm")
IMAGES = "images.npz"
FilePair = tuple[Path, Path]
"""Two files of one kind: that of the reference, and that of the scored images."""


def run(
    images: Path,
    reference: Reference,
    extractors: Sequence[Part],
    metrics: Sequence[Part],
    labels: Path | None,
    cache_dir: Path,
) -> tuple[pd.DataFrame, Path]:
    """Score a set of images; return the tidy rows and the CSV file that holds them.

    `images` and `labels` are paths for `images.read_images`. Each metric is computed in the feature
    space of each of the `extractors` that provides its input. Features and rows are stored in
    `cache_dir`.

    Raises:
        LtdmError: The images cannot be read or do not suit the reference, no extractor provides the
            input of a metric, or the reference has too few training images for it.
    """
    _check_metrics(metrics, extractors, reference)
    image_set = _load_matching_images(images, labels, reference)
    folder = store_images(cache_dir / images.resolve().stem, image_set, IMAGES)
    features = {e.label: _feature_pair(e, folder, reference) for e in extractors}
    output = folder / f"against-{reference.folder.name}"
    compared_with = reference.prepared_folder or reference.folder
    origin = {"images": str(images), "reference": str(compared_with)}
    frames = []
    for metric in metrics:
        inputs = {e.label: features[e.label] for e in extractors if accepts(metric, e)}
        if uses_neighbours(metric):
            inputs = {PIXELS: _find_neighbours(metric, folder, reference)}
        frames.append(
            compute_metric(metric, inputs, reference.grouping, reference.counts, output, origin)
        )
    rows = pd.concat(frames, ignore_index=True).drop(columns=metrics_stage.SAMPLING_COLUMNS)
    write_rows(rows, output / "metrics.csv")
    return rows, output / "metrics.csv"


def _check_metrics(
    metrics: Sequence[Part], extractors: Sequence[Part], reference: Reference
) -> None:
    """Raise LtdmError for a metric without input or with too few training images to search."""
    for metric in metrics:
        check_inputs(metric, extractors)
        if uses_neighbours(metric) and not _has_enough_train(metric, reference):
            raise LtdmError(
                f"{metric.name} looks for the {metric.options.k} nearest training images, but"
                f" {reference.train} holds {reference.count_training_images()}; request fewer, such"
                f" as --metric '{{name: {metric.name}, k: 10}}'"
            )


def _load_matching_images(
    images: Path, labels: Path | None, reference: Reference
) -> image_sets.ImageSet:
    """Read images of the reference's shape; their labels are dropped if the reference has none."""
    image_set = image_sets.read_images(images, labels, reference.names)
    (real,) = read_npz(reference.file, "images")
    if real.shape[1:] != image_set.images.shape[1:]:
        raise LtdmError(
            f"{images} holds images of shape {image_set.images.shape[1:]} (channels, height,"
            f" width), the reference {real.shape[1:]}; bring both to one shape by the same means"
        )
    if not reference.names and (image_set.labels >= 0).any():
        log.info("the reference has no labels, so those of %s are ignored", images)
        image_set = image_set._replace(labels=np.full_like(image_set.labels, -1))
    return image_set


def _feature_pair(extractor: Part, folder: Path, reference: Reference) -> FilePair:
    """Return the features of the reference and of the images in `folder`, extracted if missing."""
    weights, reference_features = reference.extract_features(extractor)
    return reference_features, extract_features(extractor, folder, weights)


def extract_features(extractor: Part, folder: Path, weights: Path) -> Path:
    """Return the file of the features of the images in `folder`, extracted if missing."""
    features = folder / f"features/{extractor.label}-{sha256(weights)[:12]}.npz"
    if not features.exists():
        request = Request(code=stage_digest("features", extractor))
        features_stage.run(request, images=folder / IMAGES, weights=weights, features=features)
    return features


def _find_neighbours(metric: Part, folder: Path, reference: Reference) -> FilePair:
    """Return the nearest training images of the reference and of the images in `folder`."""
    search = metric.module.search(metric.options)
    settings = "-".join(f"{key}-{value}" for key, value in search.items())
    code = stage_digest("neighbours")
    name = f"neighbours/{'-'.join((sha256(reference.train)[:12], code, settings))}.npz"
    pair = reference.folder / name, folder / name
    for neighbours, images in zip(pair, (reference.file, folder / IMAGES), strict=True):
        if not neighbours.exists():
            request = Request(search=search, unseen=neighbours == pair[0], code=code)
            files = {"train": reference.train, "images": images, "neighbours": neighbours}
            neighbours_stage.run(request, **files)
    return pair


def compute_metric(
    metric: Part,
    inputs: Mapping[str, FilePair],
    grouping: Mapping[str, Any],
    counts: Path,
    output: Path,
    origin: Mapping[str, str],
) -> pd.DataFrame:
    """Compute a metric from the files of each feature space; return the rows of its table.

    `grouping` and `counts`, a counts.csv, give the groups of classes. The rows carry the columns of
    `origin`. The table and its record are written to `output`.
    """
    request = Request(
        metric=metric.to_config(),
        groups=grouping,
        extractors=[*inputs],
        code=stage_digest("metrics", metric),
        where=origin,
    )
    real, generated = (list(paths) for paths in zip(*inputs.values(), strict=True))
    table = output / "metrics" / f"{metric.label}.csv"
    files = {"counts": counts, "table": table, "record": table.with_suffix(".json")}
    metrics_stage.run(request, real=real, fake=generated, **files)
    return read_rows(table)


def usable_metrics(
    metrics: Sequence[Part], extractors: Sequence[Part], reference: Reference
) -> list[Part]:
    """Return the metrics whose input is available.

    It comes from an extractor, or, for a neighbour search, from the training images of a data
    folder. Any other set of images may not be a training set.
    """
    has_train = bool(reference.prepared_folder) and reference.train.exists()
    return [
        metric
        for metric in metrics
        if any(accepts(metric, extractor) for extractor in extractors)
        or (has_train and uses_neighbours(metric) and _has_enough_train(metric, reference))
    ]


def _has_enough_train(metric: Part, reference: Reference) -> bool:
    """Return whether there are as many training images as the neighbours that a metric needs."""
    return bool(metric.options.k <= reference.count_training_images())


def format_rows(rows: pd.DataFrame) -> str:
    """Return the rows as a table for a terminal, without single classes and empty columns."""
    groups = rows[~rows["group"].str.startswith("class-")].drop(columns=["images", "reference"])
    columns = [column for column in groups if set(groups[column].dropna()) - {""}]
    return groups[columns].to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4g}")
