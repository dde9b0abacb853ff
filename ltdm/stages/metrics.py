"""Features of real and generated images -> tidy rows of one metric."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.errors import LtdmError
from ltdm.files import read_npz, reading, writing
from ltdm.metrics._groups import groups
from ltdm.registry import Part, part

COLUMNS = ["features", "metric", "group", "value", "n_real", "n_fake", "note"]
SMALL = "small n"


def run(spec: dict[str, Any], kinds: list[str], about: dict[str, Any], *, counts: Path,
        real: Mapping[str, Path], fake: Mapping[str, Path], table: Path) -> None:  # fmt: skip
    """Write one metric of one sample set in all feature spaces and groups.

    Args:
        spec: The metric's name and options.
        kinds: The kinds of group to report.
        about: Columns that say what the rows are about: data set, run, seed, sampler, ...
        counts: counts.csv of the data set.
        real: Features of the reference, by extractor.
        fake: Features of the generated images, by extractor.
        table: Where the rows go.

    Raises:
        LtdmError: The features are damaged, do not fit together, or are not finite.
    """
    metric = part("metric", spec, ("metrics",))
    with reading(counts):
        class_counts = pd.read_csv(counts)["train"].tolist()
    wanted = groups(class_counts, tuple(kinds))
    frames = []
    for extractor in real:
        pair = [_features(path) for path in (real[extractor], fake[extractor])]
        if pair[0][0].shape[1] != pair[1][0].shape[1]:
            raise LtdmError(
                f"{real[extractor]} and {fake[extractor]} come from different extractors: their"
                " features differ in length; delete both and run again"
            )
        rows = rows_of(metric, pair[0], pair[1], wanted, tuple(kinds))
        frames.append(pd.DataFrame(rows).assign(features=extractor))
    frame = pd.concat(frames)[COLUMNS]
    for position, (name, value) in enumerate(about.items()):
        frame.insert(position, name, value)
    with writing(table) as temporary:
        frame.to_csv(temporary, index=False)


def rows_of(
    metric: Part,
    real: tuple[np.ndarray, np.ndarray],
    fake: tuple[np.ndarray, np.ndarray],
    wanted: dict[str, list[int]],
    kinds: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Return the metric's rows for each group, then for the worst class.

    Args:
        metric: The metric.
        real: Features (N, d), float64, and labels (N,).
        fake: The same of the generated images.
        wanted: The classes of each group.
        kinds: The kinds of group to report.
    """
    options, module = metric.options, metric.module
    rows: list[dict[str, Any]] = []
    for group, classes in wanted.items():
        x, y = (features[np.isin(labels, classes)] for features, labels in (real, fake))
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


def _features(path: Path) -> tuple[np.ndarray, np.ndarray]:
    features, labels = read_npz(path, "features", "labels")
    if not np.isfinite(features).all():
        raise LtdmError(f"{path} holds features that are not finite; the images behind it are bad")
    return features.astype(np.float64), labels
