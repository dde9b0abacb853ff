"""Tables, histories and samples of one data set -> its figures."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ltdm.plumbing.files import explain_read_errors, read_npz
from ltdm.plumbing.request import Request
from ltdm.reporting import figures, points, style
from ltdm.reporting.rows import read_rows
from ltdm.reporting.tables import baseline_of, called


def run(
    request: Request,
    *,
    counts: Path,
    reference: Path,
    tidy: Path,
    histories: list[Path],
    samples: list[Path],
    **pictures: Path,
) -> None:
    """Write the figures of a data set: `counts`, `per_class`, `training` and `samples`.

    `request` has `metric`, `extractor` and `sample_set`, what `per_class` shows, in which feature
    space, of which sample set; `runs` and `seeds`; and `where`, the `dataset`.

    The reference is shown beside the samples, of which there is one seed of each run; `histories`
    are of each run's seeds, run after run; `tidy` is metrics.csv. `pictures` are named by figure
    and ending, as in `counts_png` and `counts_svg`.
    """
    style.use()
    dataset, runs = request["where"]["dataset"], request["runs"]
    with explain_read_errors(counts):
        table = pd.read_csv(counts, dtype={"name": str}, keep_default_na=False)
        table["name"] = table["name"].str.replace("$", r"\$")  # no mathematics
    curves = []
    for (name, seed), path in zip(product(runs, request["seeds"]), histories, strict=True):
        with explain_read_errors(path):
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
        style.save(made[name.rpartition("_")[0]], path)


def _per_class(request: Request, table: pd.DataFrame, tidy: Path) -> Figure:
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
    n = len(labels)
    order = np.random.default_rng(0).permutation(n) if shuffled else np.arange(n)
    each = figures.COLUMNS if images.dtype == np.uint8 else points.MOST_POINTS
    rows = np.concatenate([order[labels[order] == c][:each] for c in np.unique(labels)])
    return images[rows], labels[rows]
