"""Tables, records, histories and samples of one data set -> its figures."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ltdm.core.image_files import read_image_file
from ltdm.plumbing.files import TABLE, explain_read_errors
from ltdm.plumbing.request import Request
from ltdm.reporting import figures, frames, points, style
from ltdm.reporting import samples as sheets
from ltdm.reporting.cost_plot import plot_cost
from ltdm.reporting.costs import TRAINING_COLUMNS, cost_frame
from ltdm.reporting.figure_rows import read_history
from ltdm.reporting.forest_plot import plot_intervals
from ltdm.reporting.headings import read_metric
from ltdm.reporting.intervals import intervals_frame
from ltdm.reporting.rows import SCORE_COLUMNS, read_classes, read_rows, write_rows
from ltdm.reporting.tables import order_by_extractor
from ltdm.training.spent import read_training_cost


def run(
    request: Request,
    *,
    counts: Path,
    reference: Path,
    tidy: Path,
    records: list[Path],
    histories: list[Path],
    samples: list[Path],
    **files: Path,
) -> None:
    """Write a data set's figures, with their numbers, to `files`, named as `counts_png` is.

    They are `counts`, `per_class`, `training`, `intervals`, `cost` and `samples`. `request` has
    `metric` and `extractor`, which `per_class` shows; `columns`, `extractors` and `baseline` of the
    tables, for `intervals` and `cost`; `runs` and `seeds`; and `where`, the `dataset`. Of each run
    its first sample set is shown.

    `tidy` is metrics.csv; `records` (run.json) and `histories` are of each run's seeds, run after
    run; `samples` are of one seed of each run.
    """
    style.use()
    table = read_classes(counts)
    sets = {"real": _first_images(reference, shuffle=True)}
    sets |= {n: _first_images(path) for n, path in zip(request["runs"], samples, strict=True)}
    trainings = _read_trainings(request, records, histories, sets["real"][0].shape[1:], len(table))
    with explain_read_errors(counts, TABLE):
        class_counts = frames.counts_frame(table)
    numbers = {
        "counts": class_counts,
        "training": frames.training_frame(_read_histories(request, histories)),
        **_score_frames(request, table, tidy, trainings),
    }
    plots = {**_plot_numbers(request, numbers), "samples": _plot_samples(sets, table)}
    for name, path in files.items():
        figure, _, form = name.rpartition("_")
        if form == "csv":
            write_rows(numbers[figure], path)
        else:
            style.save(plots[figure], path)


def _score_frames(
    request: Request, table: pd.DataFrame, tidy: Path, trainings: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return the numbers of the figures of scores."""
    metric_rows, heading = read_metric(tidy, request)
    rows = read_rows(tidy, SCORE_COLUMNS)
    rows = frames.first_sample_sets(rows[rows["dataset"] == request["where"]["dataset"]])
    rows = order_by_extractor(rows, request["extractors"])
    columns = request["columns"]
    metric_rows = frames.first_sample_sets(metric_rows)
    return {
        "per_class": frames.per_class_frame(metric_rows, table, heading),
        "intervals": intervals_frame(rows, columns, request["baseline"]),
        "cost": cost_frame(rows, columns[0], trainings, request["baseline"]),
    }


def _plot_numbers(request: Request, numbers: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Plot the numbers of each figure."""
    dataset, looks = request["where"]["dataset"], style.line_looks(request["runs"])
    return {
        "counts": figures.plot_class_counts(numbers["counts"], dataset),
        "per_class": figures.plot_per_class(numbers["per_class"], dataset, looks),
        "training": figures.plot_training_loss(numbers["training"], dataset, looks),
        "intervals": plot_intervals(numbers["intervals"], dataset, request["baseline"]),
        "cost": plot_cost(numbers["cost"], dataset, looks),
    }


def _plot_samples(sets: dict[str, tuple[np.ndarray, np.ndarray]], table: pd.DataFrame) -> Figure:
    """Plot images as sheets, and points as scatter plots."""
    if sets["real"][0].dtype == np.uint8:
        return sheets.plot_samples(sets, table)
    return points.plot_points(sets, table["name"].tolist())


def _read_trainings(
    request: Request,
    records: list[Path],
    histories: list[Path],
    shape: tuple[int, ...],
    classes: int,
) -> pd.DataFrame:
    """Read what the training of each network cost."""
    rows = [
        (*key, *read_training_cost(record, history, shape, classes))
        for key, record, history in zip(_networks(request), records, histories, strict=True)
    ]
    return pd.DataFrame(rows, columns=TRAINING_COLUMNS)


def _read_histories(request: Request, paths: list[Path]) -> pd.DataFrame:
    """Read the histories of all runs and seeds, with columns `run` and `seed`."""
    histories = []
    for (run_name, seed), path in zip(_networks(request), paths, strict=True):
        histories.append(read_history(path).assign(run=run_name, seed=seed))
    return pd.concat(histories, ignore_index=True)


def _networks(request: Request) -> product:
    """Return the run and seed of each network, in the order of its files."""
    return product(request["runs"], request["seeds"])


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
