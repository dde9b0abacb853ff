"""Features of real and generated images -> tidy rows of one metric."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ltdm.errors import LtdmError
from ltdm.files import read_npz, reading, write_json, writing
from ltdm.metrics._groups import groups
from ltdm.registry import Part, part, stage_code

COLUMNS = ["features", "metric", "options", "group", "value", "n_real", "n_fake", "note"]
HOW = ["sampler", "guidance", "weights"]
SMALL = "small n"


def run(spec: dict[str, Any], kinds: list[str], where: dict[str, Any], *, counts: Path,
        real: Mapping[str, Path], fake: Mapping[str, Path], table: Path,
        record: Path) -> None:  # fmt: skip
    """Write one metric of one sample set in all feature spaces and groups.

    Args:
        spec: The metric's name and options.
        kinds: The kinds of group to report.
        where: Columns that say where the sample set stands: dataset, run, seed, sample_set. How it
            was made, the features themselves say.
        counts: counts.csv of the data set.
        real: Features of the reference, by extractor.
        fake: Features of the generated images, by extractor.
        table: Where the rows go.
        record: Where a record goes of what was asked for, by what code.

    Raises:
        LtdmError: The features are damaged, do not fit together, or are not finite.
    """
    metric = part("metric", spec, ("metrics",))
    with reading(counts):
        class_counts = pd.read_csv(counts)["train"].tolist()
    wanted = groups(class_counts, tuple(kinds))
    frames = []
    for extractor in real:
        reference, made = _features(real[extractor]), _features(fake[extractor])
        if reference.vectors.shape[1] != made.vectors.shape[1]:
            raise LtdmError(
                f"{real[extractor]} and {fake[extractor]} come from different extractors: their"
                " features differ in length; delete both and run again"
            )
        if (made.labels < 0).all():  # from an unconditional network: nothing can be said by class
            reference = reference._replace(labels=np.full_like(reference.labels, -1))
            rows = rows_of(metric, reference, made, {"all": [-1]}, ("all",))
        else:
            rows = rows_of(metric, reference, made, wanted, tuple(kinds))
        how = {name: made.about.get(name) for name in HOW}
        told = {**where, **how, "features": extractor, "options": metric.settings}
        frames.append(pd.DataFrame(rows).assign(**told))
    asked = {"metric": spec, "groups": kinds, "extractors": list(real)}
    write_json(record, {**asked, "code": stage_code("metrics", metric)})
    with writing(table) as temporary:
        pd.concat(frames)[[*where, *HOW, *COLUMNS]].to_csv(temporary, index=False)


def rows_of(
    metric: Part,
    real: "Features",
    fake: "Features",
    wanted: dict[str, list[int]],
    kinds: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Return the metric's rows for each group, then for the worst class.

    Args:
        metric: The metric.
        real: Features of the reference.
        fake: Features of the generated images.
        wanted: The classes of each group.
        kinds: The kinds of group to report.
    """
    options, module = metric.options, metric.module
    rows: list[dict[str, Any]] = []
    for group, classes in wanted.items():
        x, y = (f.vectors[np.isin(f.labels, classes)] for f in (real, fake))
        n = min(len(x), len(y))
        enough = n >= module.least(options)
        nothing = dict.fromkeys(module.HIGHER_IS_BETTER, float("nan"))
        values = module.score(x, y, options) if enough else nothing
        note = "" if enough and module.reliable(n, x.shape[1], options) else SMALL
        for name, value in values.items():
            row = {"metric": name, "group": group, "value": value, "note": note}
            rows.append({**row, "n_real": len(x), "n_fake": len(y)})
    if "worst" in kinds:
        rows += [_worst(rows, name, up) for name, up in module.HIGHER_IS_BETTER.items()]
    return [r for r in rows if "class" in kinds or not r["group"].startswith("class-")]


def _worst(rows: list[dict[str, Any]], name: str, higher_is_better: bool) -> dict[str, Any]:
    """Return the row of the class with the worst value, which the note then names."""
    classes = [r for r in rows if r["metric"] == name and r["group"].startswith("class-")]
    sign = 1 if higher_is_better else -1
    worst = min(classes, key=lambda r: sign * r["value"] if r["value"] == r["value"] else np.inf)
    note = ", ".join(filter(None, [worst["group"], worst["note"]]))
    return {**worst, "group": "worst", "note": note}


class Features(NamedTuple):
    """Vectors (N, d), float64, their labels (N,), and how the images behind them were made."""

    vectors: np.ndarray
    labels: np.ndarray
    about: dict[str, Any]


def _features(path: Path) -> Features:
    vectors, labels, about = read_npz(path, "features", "labels", "about")
    if not np.isfinite(vectors).all():
        raise LtdmError(f"{path} holds features that are not finite; the images behind it are bad")
    return Features(vectors.astype(np.float64), labels, json.loads(str(about)))
