"""The rows of several results folders together, and the numbers behind their tables and figures."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from ltdm.comparison.folders import RECORD, Folder
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import TABLE, explain_read_errors, read_json
from ltdm.reporting import frames
from ltdm.reporting.columns import parse_column
from ltdm.reporting.costs import TRAINING_COLUMNS, cost_frame
from ltdm.reporting.figure_rows import read_history
from ltdm.reporting.headings import display_name
from ltdm.reporting.intervals import intervals_frame
from ltdm.reporting.rows import read_classes
from ltdm.reporting.tables import order_by_extractor, select_column
from ltdm.training.spent import read_training_cost

Labels = Mapping[tuple[str, str], str]
"""What data sets are called, by name of the folder and of the data set."""


class Columns(NamedTuple):
    """Columns of the main table."""

    shared: list[str]  # of the first folder's, those that all folders have
    left_out: list[str]  # headings of the others, each with the folders that lack it


def merge_rows(folders: list[Folder], labels: Labels) -> pd.DataFrame:
    """Return the rows of all folders, label by label, with the labels and the runs' names."""
    parts = [
        folder.rows.assign(
            dataset=[labels[folder.name, dataset] for dataset in folder.rows["dataset"]],
            run=[folder.run_name(run) for run in folder.rows["run"]],
        )
        for folder in folders
    ]
    rows = pd.concat(parts, ignore_index=True)
    order = {label: i for i, label in enumerate(dict.fromkeys(labels.values()))}
    rows = rows.iloc[rows["dataset"].map(order).argsort(kind="stable")]
    return rows.reset_index(drop=True)


def share_columns(folders: list[Folder]) -> Columns:
    """Choose the columns of the first folder's main table whose scores all folders have.

    They are scores of the extractor that the first folder's table uses.

    Raises:
        LtdmError: No column is left.
    """
    first = folders[0]
    ordered = order_by_extractor(first.rows, first.extractors)
    shared, left_out = [], []
    for name in first.columns:
        with explain_read_errors(first.layout.path("tables.record"), RECORD):
            column = select_column(ordered, name)
        value = {*zip(*(column.rows[key] for key in ("extractor", "metric", "group")), strict=True)}
        lacking = [folder.name for folder in folders if not value or not value <= _values(folder)]
        if lacking:
            left_out.append(f"{column.name} (not in {', '.join(lacking)})")
        else:
            shared.append(name)
    if not shared:
        raise LtdmError(
            f"{' and '.join(folder.name for folder in folders)} have no column of the table of"
            f" {first.path} in common; score them by the same metrics and extractors"
        )
    return Columns(shared, left_out)


def _values(folder: Folder) -> set[tuple[str, str, str]]:
    return {*folder.rows[["extractor", "metric", "group"]].itertuples(index=False, name=None)}


def choose_baselines(folders: list[Folder], labels: Labels) -> dict[str, str]:
    """Return each label's run that differences are taken from, by its name in the comparison.

    It is the first folder's baseline; of a label that lacks it, that of the first folder with the
    label, or if that has no such run there, its first run.
    """
    baselines: dict[str, str] = {}
    for (name, dataset), label in labels.items():
        folder = next(folder for folder in folders if folder.name == name)
        runs = [*folder.rows["run"][folder.rows["dataset"] == dataset]]
        run = folder.baseline if folder.baseline in runs else runs[0]
        baselines.setdefault(label, folder.run_name(run))
    return baselines


def figure_frames(
    folders: list[Folder], rows: pd.DataFrame, columns: list[str], labels: Labels
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the label, the figure's name and the numbers of each figure of the merged `rows`."""
    baselines = choose_baselines(folders, labels)
    rows = order_by_extractor(rows, folders[0].extractors)
    first_column = select_column(rows, columns[0])
    metric, extractor = parse_column(columns[0]).metric, first_column.rows["extractor"].iloc[0]
    heading = display_name(metric, extractor, first_column.rows)
    for label, baseline in baselines.items():
        own = frames.first_sample_sets(rows[rows["dataset"] == label])
        scores = own[(own["metric"] == metric) & (own["extractor"] == extractor)]
        sources = [
            (folder, dataset)
            for folder in folders
            for dataset in folder.datasets
            if labels[folder.name, dataset] == label
        ]
        first, dataset = sources[0]
        counts_file = first.layout.path("prepare.counts", dataset=dataset)
        counts = read_classes(counts_file)
        with explain_read_errors(counts_file, TABLE):
            counts_rows = frames.counts_frame(counts)
        yield label, "counts", counts_rows
        yield label, "per-class", frames.per_class_frame(scores, counts, heading)
        yield label, "intervals", intervals_frame(own, columns, baseline)
        yield label, "cost", cost_frame(own, columns[0], _read_costs(sources), baseline)
        histories = [*_read_histories(sources)]
        if histories:
            frame = frames.training_frame(pd.concat(histories, ignore_index=True))
            yield label, "training", frame


def _read_histories(sources: list[tuple[Folder, str]]) -> Iterator[pd.DataFrame]:
    """Yield the history of each network that has one: imported networks may have none."""
    for folder, dataset in sources:
        for network in folder.networks(dataset):
            file = folder.layout.path("train.history", **network)
            if file.is_file():
                run = folder.run_name(network["run"])
                yield read_history(file).assign(run=run, seed=network["seed"])


def _read_costs(sources: list[tuple[Folder, str]]) -> pd.DataFrame:
    """Return what the training of each network cost that has a record."""
    costs = []
    for folder, dataset in sources:
        data = folder.layout.path("prepare.record", dataset=dataset)
        census = read_json(data).get("census", {})
        with explain_read_errors(data, RECORD):
            shape = int(census["channels"]), int(census["side"]), int(census["side"])
            classes = len(census["sizes"])
        for network in folder.networks(dataset):
            record, history = (
                folder.layout.path(f"train.{file}", **network) for file in ("record", "history")
            )
            if record.is_file():
                cost = read_training_cost(record, history, shape, classes)
                costs.append((folder.run_name(network["run"]), network["seed"], *cost))
    return pd.DataFrame(costs, columns=TRAINING_COLUMNS)
