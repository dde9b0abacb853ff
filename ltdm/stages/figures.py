"""Tables, histories and samples of one data set -> its figures."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ltdm.plumbing.files import read_npz, reading
from ltdm.reporting import figures, points, style
from ltdm.reporting.rows import read_rows
from ltdm.reporting.tables import baseline_of, called


def run(
    request: Mapping[str, Any],
    *,
    counts: Path,
    reference: Path,
    tidy: Path,
    histories: Sequence[Path],
    samples: Sequence[Path],
    **pictures: Path,
) -> None:
    """Write the figures of a data set.

    Args:
        request: `metric`, `extractor` and `sample_set`, what `per_class` shows, in which feature
            space, of which sample set; `runs` and `seeds`; `code`; and `where`, the `dataset`.
        counts: counts.csv.
        reference: reference.npz, shown beside the samples.
        tidy: metrics.csv.
        histories: history.csv of each run's seeds, run after run.
        samples: samples.npz of each run, one seed each.
        pictures: Where the figures go: `counts`, `per_class`, `training` and `samples`, each with
            its ending, as in `counts_png` and `counts_svg`.

    Raises:
        LtdmError: A file is missing or damaged.
    """
    style.use()
    dataset, runs = request["where"]["dataset"], request["runs"]
    with reading(counts):
        table = pd.read_csv(counts, dtype={"name": str}, keep_default_na=False)
        table["name"] = table["name"].str.replace("$", r"\$")  # no mathematics
    curves = []
    for (name, seed), path in zip(product(runs, request["seeds"]), histories, strict=True):
        with reading(path):
            curves.append(pd.read_csv(path, dtype=float).assign(run=name, seed=seed))
    sets = {"real": _first(reference, shuffled=True)}
    sets |= {name: _first(path) for name, path in zip(runs, samples, strict=True)}
    names, pixels = table["name"].tolist(), sets["real"][0].dtype == np.uint8
    made = {
        "counts": figures.counts(table, dataset),
        "per_class": _per_class(request, table, tidy),
        "training": figures.training(pd.concat(curves, ignore_index=True), dataset),
        "samples": figures.samples(sets, table) if pixels else points.scatter(sets, names),
    }
    for name, path in pictures.items():
        style.save(made[name.rpartition("_")[0]], Path(path))


def _per_class(request: Mapping[str, Any], table: pd.DataFrame, tidy: Path) -> Figure:
    """Draw a metric by class, and what the real images come to where that is known."""
    metric, extractor = request["metric"], request["extractor"]
    rows = read_rows(tidy)
    mine = (rows["dataset"] == request["where"]["dataset"]) & (rows["features"] == extractor)
    of_set = rows["sample_set"] == request["sample_set"]
    classes = rows[mine & of_set & rows["group"].str.startswith("class-")]
    shown, real = (classes[classes["metric"] == one] for one in (metric, baseline_of(metric)))
    title = f"{called(metric, extractor)} by class, {extractor} features"
    return figures.per_class(shown, table, title, real)


def _first(path: Path, shuffled: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images of each class: a figure shows no more, and the files are large.

    Real images are mixed before: files often hold one writer's or one scene's in a row.
    """
    images, labels = read_npz(path, "images", "labels")
    order = np.arange(len(labels))
    if shuffled:
        order = np.random.default_rng(0).permutation(len(labels))
    each = figures.COLUMNS if images.dtype == np.uint8 else points.MOST_POINTS
    rows = np.concatenate([order[labels[order] == c][:each] for c in np.unique(labels)])
    return images[rows], labels[rows]
