"""Tables, histories and samples of one data set -> its figures."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ltdm.core.image_files import read_image_file
from ltdm.plumbing.files import TABLE, explain_read_errors
from ltdm.plumbing.request import Request
from ltdm.reporting import figures, points, style
from ltdm.reporting import samples as sheets
from ltdm.reporting.headings import read_metric
from ltdm.reporting.rows import read_classes


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

    `request` has `metric`, `extractor` and `sample_set`, which `per_class` shows; `runs` and
    `seeds`; and `where`, the `dataset`.

    `tidy` is metrics.csv; `histories` are of each run's seeds, run after run; `samples` are of one
    seed of each run. `pictures` are named by figure and suffix, as `counts_png` is.
    """
    style.use()
    dataset, runs = request["where"]["dataset"], request["runs"]
    table = read_classes(counts)
    sets = {"real": _first_images(reference, shuffle=True)}
    sets |= {name: _first_images(path) for name, path in zip(runs, samples, strict=True)}
    if sets["real"][0].dtype == np.uint8:
        samples_plot = sheets.plot_samples(sets, table)
    else:
        samples_plot = points.plot_points(sets, table["name"].tolist())
    plots = {
        "counts": figures.plot_class_counts(table, dataset),
        "per_class": _plot_per_class(request, table, tidy),
        "training": figures.plot_training_loss(_read_histories(request, histories), dataset),
        "samples": samples_plot,
    }
    for name, path in pictures.items():
        style.save(plots[name.rpartition("_")[0]], path)


def _read_histories(request: Request, paths: list[Path]) -> pd.DataFrame:
    """Read the histories of all runs and seeds, with columns `run` and `seed`."""
    histories = []
    keys = product(request["runs"], request["seeds"])
    for (run_name, seed), path in zip(keys, paths, strict=True):
        with explain_read_errors(path, TABLE):
            history = pd.read_csv(path, dtype=float)
        histories.append(history.assign(run=run_name, seed=seed))
    return pd.concat(histories, ignore_index=True)


def _plot_per_class(request: Request, table: pd.DataFrame, tidy: Path) -> Figure:
    """Plot the requested metric by class, with its baseline if there is one."""
    rows, name = read_metric(tidy, request)
    mask = rows["sample_set"] == request["sample_set"]
    rows = rows[mask & rows["group"].str.startswith("class-")]
    title = f"{name} by class, {request['extractor']} features"
    return figures.plot_per_class(rows, table, title)


def _first_images(path: Path, shuffle: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images of each class, and their labels: as many as a figure can show.

    Images without labels may fill the rows of all classes.

    Real images are shuffled first: files often have those of one writer or scene in a row.
    """
    images, labels, *_ = read_image_file(path)
    n = len(labels)
    order = np.random.default_rng(0).permutation(n) if shuffle else np.arange(n)
    per_class = sheets.IMAGES_PER_CLASS if images.dtype == np.uint8 else points.MAX_POINTS
    rows = []
    for label in np.unique(labels):
        limit = per_class * (sheets.MAX_CLASSES if label < 0 else 1)
        rows.append(order[labels[order] == label][:limit])
    selected = np.concatenate(rows)
    return images[selected], labels[selected]
