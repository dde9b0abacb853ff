"""Tables, histories and samples of one data set -> its figures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.plumbing.files import read_npz, reading
from ltdm.reporting import figures, points, style
from ltdm.reporting.rows import read_rows
from ltdm.reporting.tables import baseline_of, called


def run(dataset: str, metric: str, extractor: str, sample_set: str, *, counts: Path, tidy: Path,
        reference: Path, histories: Mapping[tuple[str, int], Path], samples: Mapping[str, Path],
        pictures: Mapping[str, Path]) -> None:  # fmt: skip
    """Write the figures of a data set, each to its path in `pictures` (PNG or SVG by its ending).

    Args:
        dataset: Its name.
        metric: What `per_class` shows.
        extractor: In which feature space.
        sample_set: Of which sample set.
        counts: counts.csv.
        tidy: metrics.csv.
        reference: reference.npz, shown beside the samples.
        histories: history.csv by run and seed.
        samples: samples.npz by run, one seed each.
        pictures: Paths by figure: counts, per_class, training, samples; `<figure>_svg` as well.
    """
    style.use()
    with reading(counts):
        table = pd.read_csv(counts, dtype={"name": str}, keep_default_na=False)
        table["name"] = table["name"].str.replace("$", r"\$")  # no mathematics
    rows = read_rows(tidy)
    classes = rows[
        (rows["dataset"] == dataset) & (rows["features"] == extractor)
        & (rows["sample_set"] == sample_set) & rows["group"].str.startswith("class-")
    ]  # fmt: skip
    mine, real = (classes[classes["metric"] == one] for one in (metric, baseline_of(metric)))
    curves = []
    for (name, seed), path in histories.items():
        with reading(path):
            curves.append(pd.read_csv(path, dtype=float).assign(run=name, seed=seed))
    sets = {"real": _first(reference, shuffled=True)}
    sets |= {name: _first(path) for name, path in samples.items()}
    made = {
        "counts": figures.counts(table, dataset),
        "per_class": figures.per_class(
            mine, table, f"{called(metric, extractor)} by class, {extractor} features", real
        ),
        "training": figures.training(pd.concat(curves, ignore_index=True), dataset),
        "samples": (
            figures.samples(sets, table) if sets["real"][0].dtype == np.uint8
            else points.scatter(sets, table["name"].tolist())
        ),
    }  # fmt: skip
    for name, path in pictures.items():
        style.save(made[name.removesuffix("_svg")], Path(path))


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
