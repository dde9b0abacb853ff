"""Score images that others made, by the same stages as our own.

What is made lies in a folder of its own for each set of images, named by their digest: features are
extracted once for each set, and a reference's are there for all that are compared with it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.external import images as _given
from ltdm.external.reference import Reference, kept
from ltdm.metrics._base import PIXELS, check_fed, looks_up, reads
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, sha256
from ltdm.plumbing.registry import Part, stage_digest
from ltdm.plumbing.request import Request
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.stages import features as features_stage
from ltdm.stages import metrics as metrics_stage
from ltdm.stages import neighbours as neighbours_stage

log = logging.getLogger("ltdm")


def run(
    images: Path, reference: Reference, extractors: Sequence[Part], metrics: Sequence[Part],
    labels: Path | None, cache_dir: Path,
) -> tuple[pd.DataFrame, Path]:  # fmt: skip
    """Score a set of images; return the tidy rows and the file that holds them.

    Each metric is given in those of the extractors' feature spaces that it reads. `labels` are the
    images', where they lie apart. Features and rows are kept in `cache_dir`.

    Raises:
        LtdmError: The images cannot be read, or do not fit the reference, or nothing gives what a
            metric reads.
    """
    for metric in metrics:
        check_fed(metric, extractors)
        if looks_up(metric) and not _suits(metric, reference):
            raise LtdmError(
                f"{metric.name} looks for the {metric.options.k} nearest training images,"
                f" but {reference.train} holds {reference.training_images()}; ask for fewer, such"
                f" as --metric '{{name: {metric.name}, k: 10}}'"
            )
    given = _fitting(images, labels, reference)
    folder = kept(cache_dir / images.resolve().stem, given, "images.npz")
    files = {}
    for extractor in extractors:
        weights, real = reference.features(extractor)
        made = folder / f"features/{extractor.label}-{sha256(weights)[:12]}.npz"
        files[extractor.label] = real, made
        if not made.exists():
            request, found = (
                Request(code=stage_digest("features", extractor)),
                folder / "images.npz",
            )
            features_stage.run(request, images=found, weights=weights, features=made)
    where = {"images": str(images), "reference": str(reference.ours or reference.folder)}
    frames, against = [], folder / f"against-{reference.folder.name}"
    for metric in metrics:
        fed = {e.label: files[e.label] for e in extractors if reads(metric, e)}
        if looks_up(metric):
            fed = {PIXELS: _neighbours(metric, folder, reference)}
        table = against / f"{metric.label}.csv"
        request = Request(metric=metric.to_config(), groups=reference.grouping, extractors=[*fed])
        request |= {"code": stage_digest("metrics", metric), "where": where}
        theirs, ours = (list(paths) for paths in zip(*fed.values(), strict=True))
        written = {"table": table, "record": table.with_suffix(".json")}
        metrics_stage.run(request, counts=reference.counts, real=theirs, fake=ours, **written)
        frames.append(read_rows(table))
    rows = pd.concat(frames, ignore_index=True).drop(columns=metrics_stage.HOW)
    write_rows(rows, against / "metrics.csv")
    return rows, against / "metrics.csv"


def _fitting(images: Path, labels: Path | None, reference: Reference) -> _given.Given:
    """Read images of the reference's shape; labels are left aside where the reference has none."""
    given = _given.read(images, labels, reference.names)
    (real,) = read_npz(reference.file, "images")
    if real.shape[1:] != given.images.shape[1:]:
        raise LtdmError(
            f"{images} holds images of shape {given.images.shape[1:]} (channels, height, width),"
            f" the reference {real.shape[1:]}; bring both to one shape by the same means"
        )
    if not reference.names and (given.labels >= 0).any():
        log.info("the reference has no labels, so those of %s are left aside", images)
        given = given._replace(labels=np.full_like(given.labels, -1))
    return given


def suiting(
    metrics: Sequence[Part], extractors: Sequence[Part], reference: Reference
) -> list[Part]:
    """Return the metrics that have what they read.

    That is what some extractor gives, or a training set that is known to be one.
    """
    known = bool(reference.ours) and reference.train.exists()
    return [
        metric for metric in metrics
        if any(reads(metric, extractor) for extractor in extractors)
        or (known and looks_up(metric) and _suits(metric, reference))
    ]  # fmt: skip


def _suits(metric: Part, reference: Reference) -> bool:
    """Whether a reference has as many training images as a metric looks for."""
    return bool(metric.options.k <= reference.training_images())


def _neighbours(metric: Part, folder: Path, reference: Reference) -> tuple[Path, Path]:
    """Return what is nearest in the training set to the reference's images and to those given."""
    search = metric.module.search(metric.options)
    asked = "-".join(f"{key}-{value}" for key, value in search.items())
    code = stage_digest("neighbours")
    name = f"neighbours/{'-'.join((sha256(reference.train)[:12], code, asked))}.npz"
    real, made = reference.folder / name, folder / name
    for file, images in ((real, reference.file), (made, folder / "images.npz")):
        if not file.exists():
            request = Request(search=search, unseen=file == real, code=code)
            neighbours_stage.run(request, train=reference.train, images=images, neighbours=file)
    return real, made


def to_text(rows: pd.DataFrame) -> str:
    """Write the rows for a terminal, those of single classes left out."""
    shown = rows[~rows["group"].str.startswith("class-")].drop(columns=["images", "reference"])
    kept = [column for column in shown if set(shown[column].dropna()) - {""}]
    return shown[kept].to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4g}")
