"""Features of real and generated images -> tidy rows of one metric."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ltdm.core.image_files import read_about
from ltdm.metrics._base import Estimate, MetricModule, Sample, uses_neighbours, value_name
from ltdm.metrics._groups import groups
from ltdm.metrics._halves import half_of, note_of
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_arrays, write_json
from ltdm.plumbing.registry import Part, parse_part
from ltdm.plumbing.request import Request, to_record
from ltdm.reporting.compare import is_above_zero
from ltdm.reporting.rows import FEW_IMAGES, NOT_ABOVE_ZERO, read_classes, write_rows

VALUE_COLUMNS = ["extractor", "metric", "options", "group", "value", "error", "baseline"]
VALUE_COLUMNS += ["n_real", "n_generated", "note"]
SAMPLING_COLUMNS = ["sampler", "guidance", "weights"]
TOO_FEW, NO_LABELS = "too few images", "no labels"


def run(
    request: Request, *, counts: Path, real: list[Path], fake: list[Path], table: Path, record: Path
) -> None:
    """Write one metric of one sample set, by extractor and group of classes.

    `request` has `metric`, its name and options; `groups`, the `kinds` of group, the bounds of
    `shots`, and `half`, if only that half of the reference counts (metrics/_halves.py);
    `extractors`, the labels of those that the metric accepts, or `pixels` for one of nearest
    training images; and `where`, the columns that identify the sample set: dataset, run, seed,
    sample_set. The sampling settings come from the metadata of the generated features. `real` and
    `fake` are the features of the reference and of the generated images, a file per extractor, or
    what the stage `neighbours` found for them.

    Raises:
        LtdmError: The features are not comparable or not finite, the neighbours are of another
            search, or a class is too small for halves.
    """
    metric, id_columns = parse_part("metric", request["metric"], ("metrics",)), request["where"]
    settings = {**request["groups"]}
    kinds, half = settings["kinds"], settings.pop("half", "")
    class_counts = read_classes(counts)["train"].tolist()
    classes_by_group = groups(class_counts, **settings)
    frames = []
    for extractor, real_path, fake_path in zip(request["extractors"], real, fake, strict=True):
        real_features, fake_features = read_features(real_path), read_features(fake_path)
        check_comparable(real_path, real_features, fake_path, fake_features, len(class_counts))
        if uses_neighbours(metric):
            _check_search(metric, fake_path, fake_features)
        reference = half_of(real_features.sample, half) if half else real_features.sample
        rows = metric_rows(metric, reference, fake_features.sample, classes_by_group, kinds)
        for row in rows if half else []:
            row["note"] = _join_notes(row["note"], note_of(half))
        sampling = {name: fake_features.metadata.get(name) for name in SAMPLING_COLUMNS}
        features = {"extractor": extractor, "options": metric.options_text}
        frames.append(pd.DataFrame(rows).assign(**id_columns, **sampling, **features))
    write_json(record, to_record(request))
    write_rows(pd.concat(frames)[[*id_columns, *SAMPLING_COLUMNS, *VALUE_COLUMNS]], table)


def metric_rows(
    metric: Part,
    real: Sample,
    fake: Sample,
    classes_by_group: dict[str, list[int]],
    kinds: list[str],
) -> list[dict[str, Any]]:
    """Return the metric's rows for each group, then for the worst class.

    If the generated images have no labels, there is only the group `all`.
    """
    labelled = (fake.labels >= 0).any()
    kinds = kinds if labelled else ["all"]
    rows: list[dict[str, Any]] = []
    for group, classes in classes_by_group.items() if labelled else [("all", [])]:
        x, y = (real.of_classes(classes), fake.of_classes(classes)) if labelled else (real, fake)
        estimates, note = _score_group(metric, x, y)
        sizes = {"n_real": len(x.labels), "n_generated": len(y.labels)}
        rows += estimate_rows(metric, estimates, note, {"group": group, **sizes})
    if "worst" in kinds:
        for name, up in metric.module.HIGHER_IS_BETTER.items():
            if up is not None:
                rows.append(_worst_row(rows, value_name(metric, name), up))
    return [r for r in rows if "class" in kinds or not r["group"].startswith("class-")]


def estimate_rows(
    metric: Part, estimates: dict[str, Estimate], note: str, columns: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return a row per value of a metric, with these columns and the notes."""
    rows = []
    for name, estimate in estimates.items():
        notes = _join_notes(note, _sign_note(metric, name, estimate))
        value = {"metric": value_name(metric, name), **estimate._asdict(), "note": notes}
        rows.append({**columns, **value})
    return rows


def _score_group(metric: Part, real: Sample, fake: Sample) -> tuple[dict[str, Estimate], str]:
    """Return the metric's values, and a note if the images are few or have no labels."""
    module: MetricModule = metric.module
    options = metric.options
    n = len(fake.labels)
    if module.INPUT == "features":
        n = min(n, len(real.labels))
    no_values = dict.fromkeys(module.HIGHER_IS_BETTER, Estimate(float("nan")))
    if n < module.min_images(options):
        return no_values, TOO_FEW
    if module.INPUT == "classes" and (fake.labels < 0).all():
        return no_values, NO_LABELS
    classes = len(np.unique(real.labels))
    enough = module.enough_images(n, fake.features.shape[1], classes, options)
    return module.score(real, fake, options), "" if enough else FEW_IMAGES


def _sign_note(metric: Part, name: str, estimate: Estimate) -> str:
    """Return the note of an unbiased distance that may be 0; an empty text for other values."""
    if name not in getattr(metric.module, "UNBIASED_DISTANCES", ()) or math.isnan(estimate.value):
        return ""
    return "" if is_above_zero(estimate.value, estimate.error) else NOT_ABOVE_ZERO


def _join_notes(*notes: str) -> str:
    """Join the notes of a row, without empty ones."""
    return ", ".join(filter(None, notes))


def _worst_row(rows: list[dict[str, Any]], name: str, higher_is_better: bool) -> dict[str, Any]:
    """Return the row of the class with the worst value; its note names the class."""
    classes = [r for r in rows if r["metric"] == name and r["group"].startswith("class-")]
    with_value = [r for r in classes if r["value"] == r["value"]]
    sign = 1 if higher_is_better else -1
    worst = min(with_value or classes, key=lambda r: sign * r["value"])
    num_missing = len(classes) - len(with_value)
    missing = f"{num_missing} classes without a value" if num_missing else ""
    note = _join_notes(worst["group"], missing, worst["note"])
    return {**worst, "group": "worst", "note": note}


class Features(NamedTuple):
    """Contents of a file of features."""

    sample: Sample
    metadata: dict[str, Any]  # of the images: sampler, guidance, weights; extractor


def read_features(path: Path) -> Features:
    """Read a file of features.

    Raises:
        LtdmError: The file is missing or damaged, or has values that are not finite.
    """
    arrays = read_arrays(path, ("features", "labels", "about"), ("probabilities",))
    with explain_read_errors(path, "file of features"):
        sample = Sample(arrays["features"], arrays["labels"], arrays.get("probabilities"))
        about = read_about(arrays["about"])
        if sample.labels.ndim != 1 or sample.labels.dtype.kind != "i":
            raise ValueError("`labels` holds no whole numbers")
        for values in (sample.features, sample.probabilities):
            if values is not None and (values.ndim != 2 or values.dtype.kind != "f"):
                raise ValueError(f"it holds {values.dtype} of shape {values.shape}")
            if values is not None and len(values) != len(sample.labels):
                raise ValueError(f"it holds {len(values)} rows for {len(sample.labels)} labels")
    for values in (sample.features, sample.probabilities):
        if values is not None and not np.isfinite(values).all():
            raise LtdmError(
                f"{path} has features that are not finite; check the images that it was made from"
            )
    return Features(sample, about)


def _check_search(metric: Part, path: Path, features: Features) -> None:
    """Raise LtdmError if the nearest training images are of a search with other settings."""
    with explain_read_errors(path, "file of features"):
        actual = features.metadata["extractor"]["search"]
    expected = metric.module.search(metric.options)
    if actual != expected:
        raise LtdmError(
            f"{path} was searched with {actual}, but {metric.label} needs {expected};"
            " delete it and run again"
        )


def check_comparable(
    real_path: Path, real: Features, fake_path: Path, fake: Features, classes: int
) -> None:
    """Raise LtdmError for features of different extractors, or labels of other classes."""
    dims = real.sample.features.shape[1], fake.sample.features.shape[1]
    if dims[0] != dims[1] or real.metadata.get("extractor") != fake.metadata.get("extractor"):
        raise LtdmError(
            f"{real_path} and {fake_path} come from different extractors (features of length"
            f" {dims[0]} and {dims[1]}); delete both and run again"
        )
    for path, features in ((real_path, real), (fake_path, fake)):
        labels = features.sample.labels
        if len(labels) and (labels.max() >= classes or (labels.min() < 0 and labels.max() >= 0)):
            raise LtdmError(
                f"{path} has labels from {labels.min()} to {labels.max()}, but the data set has"
                f" classes 0 to {classes - 1}; score it against the data set that it belongs to"
            )
