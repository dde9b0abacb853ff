"""Features of real and generated images -> tidy rows of one metric."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ltdm.metrics._base import Estimate, MetricModule, Sample, looks_up, title
from ltdm.metrics._groups import groups
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_arrays, write_json
from ltdm.plumbing.registry import Part, parse_part
from ltdm.plumbing.request import Request, to_record
from ltdm.reporting.rows import write_rows

COLUMNS = ["features", "metric", "options", "group", "value", "error", "n_real", "n_fake", "note"]
HOW = ["sampler", "guidance", "weights"]
SMALL, TOO_FEW, NO_LABELS = "small n", "too few images", "no labels"


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
    metric, where = parse_part("metric", request["metric"], ("metrics",)), request["where"]
    grouping = request["groups"]
    with explain_read_errors(counts):
        class_counts = pd.read_csv(counts)["train"].tolist()
    wanted = groups(class_counts, **grouping)
    frames = []
    for space, theirs, ours in zip(request["extractors"], real, fake, strict=True):
        reference, made = features_of(theirs), features_of(ours)
        fit_together(theirs, reference, ours, made, len(class_counts))
        if looks_up(metric):
            _check_search(metric, ours, made)
        rows = rows_of(metric, reference.sample, made.sample, wanted, grouping["kinds"])
        how = {name: made.about.get(name) for name in HOW}
        told = {**where, **how, "features": space, "options": metric.options_text}
        frames.append(pd.DataFrame(rows).assign(**told))
    write_json(record, to_record(request))
    write_rows(pd.concat(frames)[[*where, *HOW, *COLUMNS]], table)


def rows_of(
    metric: Part, real: Sample, fake: Sample, wanted: dict[str, list[int]], kinds: list[str]
) -> list[dict[str, Any]]:
    """Return the metric's rows for each group, then for the worst class.

    Of generated images without labels only `all` can be said.
    """
    labelled = (fake.labels >= 0).any()
    kinds = kinds if labelled else ["all"]
    rows: list[dict[str, Any]] = []
    for group, classes in wanted.items() if labelled else [("all", [])]:
        x, y = (real.of(classes), fake.of(classes)) if labelled else (real, fake)
        values, note = _estimates(metric, x, y)
        for name, one in values.items():
            row = {"metric": title(metric, name), "group": group, **one._asdict(), "note": note}
            rows.append({**row, "n_real": len(x.labels), "n_fake": len(y.labels)})
    if "worst" in kinds:
        directions = metric.module.HIGHER_IS_BETTER.items()
        rows += [_worst(rows, title(metric, name), up) for name, up in directions if up is not None]
    return [r for r in rows if "class" in kinds or not r["group"].startswith("class-")]


def _estimates(metric: Part, real: Sample, fake: Sample) -> tuple[dict[str, Estimate], str]:
    """Return the metric's values, and what is to be said of the images they rest on."""
    module: MetricModule = metric.module
    options = metric.options
    alone = module.READS != "features"  # how many real images there are does not matter
    n = len(fake.labels) if alone else min(len(real.labels), len(fake.labels))
    nothing = dict.fromkeys(module.HIGHER_IS_BETTER, Estimate(float("nan")))
    if n < module.least(options):
        return nothing, TOO_FEW
    if module.READS == "classes" and (fake.labels < 0).all():
        return nothing, NO_LABELS
    classes = len(np.unique(real.labels))
    enough = module.reliable(n, fake.features.shape[1], classes, options)
    return module.score(real, fake, options), "" if enough else SMALL


def _worst(rows: list[dict[str, Any]], name: str, higher_is_better: bool) -> dict[str, Any]:
    """Return the row of the class with the worst value, which the note then names."""
    classes = [r for r in rows if r["metric"] == name and r["group"].startswith("class-")]
    valued = [r for r in classes if r["value"] == r["value"]]
    sign = 1 if higher_is_better else -1
    worst = min(valued or classes, key=lambda r: sign * r["value"])
    unknown = len(classes) - len(valued)
    without = f"{unknown} classes without a value" if unknown else ""
    note = ", ".join(filter(None, [worst["group"], without, worst["note"]]))
    return {**worst, "group": "worst", "note": note}


class Features(NamedTuple):
    """What a features file holds, and how the images behind it were made."""

    sample: Sample
    about: dict[str, Any]


def features_of(path: Path) -> Features:
    """Read a features file; refuse one with values that are not finite."""
    found = read_arrays(path, ("features", "labels", "about"), ("probabilities",))
    sample = Sample(found["features"], found["labels"], found.get("probabilities"))
    for values in (sample.features, sample.probabilities):
        if values is not None and not np.isfinite(values).all():
            raise LtdmError(
                f"{path} holds features that are not finite; the images behind it are bad"
            )
    return Features(sample, json.loads(str(found["about"])))


def _check_search(metric: Part, path: Path, found: Features) -> None:
    """Refuse nearest training images that are not those that a metric asks for."""
    made, wanted = found.about["extractor"]["search"], metric.module.search(metric.options)
    if made != wanted:
        raise LtdmError(
            f"{path} was searched with {made}, but {metric.label} asks for {wanted};"
            " delete it and make it anew"
        )


def fit_together(
    real_path: Path, real: Features, fake_path: Path, fake: Features, classes: int
) -> None:
    """Refuse features of two extractors, and labels of other classes."""
    lengths = real.sample.features.shape[1], fake.sample.features.shape[1]
    if lengths[0] != lengths[1] or real.about.get("extractor") != fake.about.get("extractor"):
        raise LtdmError(
            f"{real_path} and {fake_path} come from different extractors (features of length"
            f" {lengths[0]} and {lengths[1]}); delete both and run again"
        )
    for path, features in ((real_path, real), (fake_path, fake)):
        labels = features.sample.labels
        if len(labels) and (labels.max() >= classes or (labels.min() < 0 and labels.max() >= 0)):
            raise LtdmError(
                f"{path} has labels from {labels.min()} to {labels.max()}, but the data set has"
                f" classes 0 to {classes - 1}; score it against the data that it was made for"
            )
