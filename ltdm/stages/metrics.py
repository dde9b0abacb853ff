"""Features of real and generated images -> tidy rows of one metric."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ltdm.metrics._base import Estimate, MetricModule, Sample, uses_neighbours, value_name
from ltdm.metrics._groups import groups
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_arrays, reading, write_json
from ltdm.plumbing.registry import Part, part
from ltdm.plumbing.request import Request, recorded
from ltdm.reporting.rows import FEW_IMAGES, write_rows

VALUE_COLUMNS = ["extractor", "metric", "options", "group", "value", "error", "baseline"]
VALUE_COLUMNS += ["n_real", "n_generated", "note"]
SAMPLING_COLUMNS = ["sampler", "guidance", "weights"]
TOO_FEW, NO_LABELS = "too few images", "no labels"


def run(
    request: Request, *, counts: Path, real: list[Path], fake: list[Path], table: Path, record: Path
) -> None:
    """Write one metric of one sample set in the feature spaces that it reads, by group.

    `request` has `metric`, its name and options; `groups`, the `kinds` of group to report and the
    bounds of `shots`; `extractors`, the feature spaces, or what `neighbours` gives for one; and
    `where`, columns that say where the sample set stands: dataset, run, seed, sample_set. How it
    was made, the features themselves say. `real` are those of the reference in each space, or what
    `neighbours` found for it; `fake` the same of the generated images.

    Raises:
        LtdmError: The features do not fit together, or are not finite; or they are the neighbours
            of another search.
    """
    metric, id_columns = part("metric", request["metric"], ("metrics",)), request["where"]
    group_settings = request["groups"]
    with reading(counts):
        class_counts = pd.read_csv(counts)["train"].tolist()
    classes_by_group = groups(class_counts, **group_settings)
    frames = []
    for extractor, real_path, fake_path in zip(request["extractors"], real, fake, strict=True):
        real_features, fake_features = read_features(real_path), read_features(fake_path)
        check_comparable(real_path, real_features, fake_path, fake_features, len(class_counts))
        if uses_neighbours(metric):
            _check_search(metric, fake_path, fake_features)
        rows = metric_rows(
            metric,
            real_features.sample,
            fake_features.sample,
            classes_by_group,
            group_settings["kinds"],
        )
        sampling = {name: fake_features.metadata.get(name) for name in SAMPLING_COLUMNS}
        id_values = {**id_columns, **sampling, "extractor": extractor, "options": metric.settings}
        frames.append(pd.DataFrame(rows).assign(**id_values))
    write_json(record, recorded(request))
    write_rows(pd.concat(frames)[[*id_columns, *SAMPLING_COLUMNS, *VALUE_COLUMNS]], table)


def metric_rows(
    metric: Part,
    real: Sample,
    fake: Sample,
    classes_by_group: dict[str, list[int]],
    kinds: list[str],
) -> list[dict[str, Any]]:
    """Return the metric's rows for each group, then for the worst class.

    Of generated images without labels only `all` can be said.
    """
    labelled = (fake.labels >= 0).any()
    kinds = kinds if labelled else ["all"]
    rows: list[dict[str, Any]] = []
    for group, classes in classes_by_group.items() if labelled else [("all", [])]:
        x, y = (real.of_classes(classes), fake.of_classes(classes)) if labelled else (real, fake)
        values, note = _score_group(metric, x, y)
        for name, estimate in values.items():
            row = {
                "metric": value_name(metric, name),
                "group": group,
                **estimate._asdict(),
                "note": note,
            }
            rows.append({**row, "n_real": len(x.labels), "n_generated": len(y.labels)})
    if "worst" in kinds:
        directions = metric.module.HIGHER_IS_BETTER.items()
        rows += [
            _worst(rows, value_name(metric, name), up) for name, up in directions if up is not None
        ]
    return [r for r in rows if "class" in kinds or not r["group"].startswith("class-")]


def _score_group(metric: Part, real: Sample, fake: Sample) -> tuple[dict[str, Estimate], str]:
    """Return the metric's values, and what is to be said of the images they rest on."""
    module: MetricModule = metric.module
    options = metric.options
    real_ignored = module.INPUT != "features"  # how many real images there are does not matter
    n = len(fake.labels) if real_ignored else min(len(real.labels), len(fake.labels))
    no_values = dict.fromkeys(module.HIGHER_IS_BETTER, Estimate(float("nan")))
    if n < module.min_images(options):
        return no_values, TOO_FEW
    if module.INPUT == "classes" and (fake.labels < 0).all():
        return no_values, NO_LABELS
    classes = len(np.unique(real.labels))
    enough = module.enough_images(n, fake.features.shape[1], classes, options)
    return module.score(real, fake, options), "" if enough else FEW_IMAGES


def _worst(rows: list[dict[str, Any]], name: str, higher_is_better: bool) -> dict[str, Any]:
    """Return the row of the class with the worst value, which the note then names."""
    classes = [r for r in rows if r["metric"] == name and r["group"].startswith("class-")]
    with_value = [r for r in classes if r["value"] == r["value"]]
    sign = 1 if higher_is_better else -1
    worst = min(with_value or classes, key=lambda r: sign * r["value"])
    num_without = len(classes) - len(with_value)
    missing = f"{num_without} classes without a value" if num_without else ""
    note = ", ".join(filter(None, [worst["group"], missing, worst["note"]]))
    return {**worst, "group": "worst", "note": note}


class Features(NamedTuple):
    """What a features file holds, and how the images behind it were made."""

    sample: Sample
    metadata: dict[str, Any]


def read_features(path: Path) -> Features:
    """Read a features file; refuse one with values that are not finite."""
    arrays = read_arrays(path, ("features", "labels", "about"), ("probabilities",))
    sample = Sample(arrays["features"], arrays["labels"], arrays.get("probabilities"))
    for values in (sample.features, sample.probabilities):
        if values is not None and not np.isfinite(values).all():
            raise LtdmError(
                f"{path} holds features that are not finite; the images behind it are bad"
            )
    return Features(sample, json.loads(str(arrays["about"])))


def _check_search(metric: Part, path: Path, features: Features) -> None:
    """Refuse nearest training images that are not those that a metric asks for."""
    recorded_search = features.metadata["extractor"]["search"]
    expected_search = metric.module.search(metric.options)
    if recorded_search != expected_search:
        raise LtdmError(
            f"{path} was searched with {recorded_search}, but {metric.label} asks for {expected_search};"
            " delete it and make it anew"
        )


def check_comparable(
    real_path: Path, real: Features, fake_path: Path, fake: Features, classes: int
) -> None:
    """Refuse features of two extractors, and labels of other classes."""
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
                f" classes 0 to {classes - 1}; score it against the data that it was made for"
            )
