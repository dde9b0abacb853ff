"""The main table, a row per run, the best values in bold; and differences from a baseline."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ltdm.metrics._halves import REPORTING, note_of
from ltdm.reporting.cells import (
    FEW_IMAGES_MARK,
    NOT_ABOVE_ZERO_MARK,
    NOT_SIGNIFICANT,
    Cell,
    DifferenceCell,
)
from ltdm.reporting.columns import parse_column
from ltdm.reporting.compare import (
    CONFIDENCE,
    ENTRY_KEYS,
    Interval,
    Key,
    differences_from,
    group_entries,
    half_width,
    paired_interval,
)
from ltdm.reporting.headings import display_name, higher_is_better
from ltdm.reporting.rows import FEW_IMAGES, NOT_ABOVE_ZERO

ARROWS = {True: " \u2191", False: " \u2193", None: ""}


class Table(NamedTuple):
    """A table of runs, and the lines that explain it."""

    cells: pd.DataFrame  # of Cell or DifferenceCell, by run and what else differs between rows
    legend: list[str]


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    up: bool | None  # whether higher is better; None if neither is
    rows: pd.DataFrame  # tidy rows of one metric, group and extractor

    @property
    def name(self) -> str:
        """The heading without its arrow."""
        return self.heading.removesuffix(ARROWS[self.up])


def main_table(
    rows: pd.DataFrame, columns: list[str], *more: Column, labels: Collection[str] = ("run",)
) -> Table:
    """Return the main table, from tidy rows in the config's order of extractors.

    `columns` are column names (reporting/columns.py), which `more` columns follow. A column uses
    the first extractor that has its metric. `labels` are as in `pivot`.
    """
    table_columns = [*(select_column(rows, column) for column in columns), *more]
    table = pivot(rows, table_columns, column_cells, Cell(), labels)
    cells = list(table.to_numpy().flat)
    legend = [deviation_legend(cells), _extractor_legend(table_columns)]
    if any(cell.not_significant for cell in cells):
        legend.append(
            f"{NOT_SIGNIFICANT} not significantly different from the best (bold): the"
            f" {CONFIDENCE * 100:.0f} % interval of the paired difference includes 0."
        )
    if any(cell.few_images for cell in cells):
        legend.append(f"{FEW_IMAGES_MARK} based on few images: compare within a column only.")
    if any(cell.not_above_zero for cell in cells):
        legend.append(
            f"{NOT_ABOVE_ZERO_MARK} not significantly greater than 0: the {CONFIDENCE * 100:.0f} %"
            " interval reaches 0, which an unbiased estimate of a distance may do."
        )
    return Table(table, [line for line in [*legend, _half_legend(rows)] if line])


def difference_table(rows: pd.DataFrame, columns: list[str], baseline: str) -> Table:
    """Return a table like `main_table`'s, of paired differences from the run `baseline`.

    The baseline itself has no row.
    """

    def difference_cells(column: Column) -> dict[Key, DifferenceCell]:
        return {
            key: DifferenceCell(interval, is_better(interval, column.up))
            for key, interval in differences_from(column.rows, baseline).items()
        }

    table_columns = [select_column(rows, column) for column in columns]
    table = pivot(rows[rows["run"] != baseline], table_columns, difference_cells, DifferenceCell())
    seeds = max((cell.interval.seeds for cell in table.to_numpy().flat), default=0)
    if not seeds:
        return Table(table, [f"No run to compare with {baseline}, or it is not among these runs."])
    basis = f"over {seeds} seeds"
    if seeds == 1:
        basis = "over generated images of one seed, without the variation between trainings"
    legend = (
        f"Difference from {baseline} and its {CONFIDENCE * 100:.0f} % interval {basis};"
        " bold: significantly better."
    )
    lines = legend, _extractor_legend(table_columns), _half_legend(rows)
    return Table(table, [line for line in lines if line])


def is_better(interval: Interval, up: bool | None) -> bool:
    """Whether a difference is significantly better; `up` as in a `Column`."""
    if up is None:
        return False
    return interval.low > 0 if up else interval.high < 0


def pivot(
    rows: pd.DataFrame,
    columns: list[Column],
    make_cells: Callable[[Column], Mapping[Key, Cell | DifferenceCell]],
    empty_cell: Cell | DifferenceCell,
    labels: Collection[str] = ("run",),
) -> pd.DataFrame:
    """Return a table with a row per entry and these columns, in the order of the tidy rows.

    `make_cells` returns a column's cells by entry; the others are `empty_cell`. The index has the
    `labels`, and those of ENTRY_KEYS that differ between entries.
    """
    entries = rows[ENTRY_KEYS].drop_duplicates()
    index = pd.MultiIndex.from_frame(entries)
    table = {}
    for column in columns:
        cells = make_cells(column)
        table[column.heading] = [cells.get(key, empty_cell) for key in index]
    constant_keys: list[Any] = [
        k for k in ENTRY_KEYS if k not in labels and entries[k].astype(str).nunique() <= 1
    ]
    return pd.DataFrame(table, index).droplevel(constant_keys)


def table_lines(table: Table) -> Iterator[tuple[tuple, np.ndarray]]:
    """Yield each line's labels and cells."""
    for index, row in zip(table.cells.index, table.cells.to_numpy(), strict=True):
        yield index if isinstance(index, tuple) else (index,), row


def select_column(rows: pd.DataFrame, name: str) -> Column:
    """Return the column of this name, with the rows of the first extractor that has its metric."""
    metric, group, baseline = parse_column(name)
    mask = (rows["metric"] == metric) & (rows["group"] == (group or "all"))
    column_rows = rows[mask]
    extractor = column_rows["extractor"].iloc[0] if len(column_rows) else ""
    column_rows = column_rows[column_rows["extractor"] == extractor]
    up = higher_is_better(metric)
    heading = display_name(name, extractor, column_rows)
    if baseline:
        up = None
        column_rows = column_rows.assign(value=column_rows["baseline"], error=np.nan)
    return Column(heading + ARROWS[up], up, column_rows)


def column_cells(column: Column) -> dict[Key, Cell]:
    """Return the cells of a column by entry."""
    entries, images = group_entries(column.rows), _images_of_entries(column.rows)
    means = {key: entry["value"].mean() for key, entry in entries.items()}
    best = _best_keys(means, column.up) if column.up is not None else {}
    cells = {}
    for key, entry in entries.items():
        best_key = best.get(key)
        not_significant = False
        if best_key not in (None, key):
            not_significant = not paired_interval(entry, entries[best_key]).significant
        deviation = entry["value"].std() if len(entry) > 1 else entry["error"].iloc[0]
        few_images, reaches_zero = (
            any(name in note.split(", ") for note in entry["note"])
            for name in (FEW_IMAGES, NOT_ABOVE_ZERO)
        )
        if len(entry) > 1:  # each seed may be near 0, and their mean not
            reaches_zero &= means[key] <= half_width(entry["value"].to_numpy())
        cells[key] = Cell(
            means[key],
            deviation,
            len(entry),
            best=best_key == key,
            not_significant=not_significant,
            few_images=few_images,
            not_above_zero=bool(reaches_zero),
            images=images.get(key, 0),
        )
    return cells


def _images_of_entries(rows: pd.DataFrame) -> dict[Key, int]:
    """Return the generated images per seed of each entry whose rows have their number."""
    if "n_generated" not in rows:
        return {}
    numbers = rows.groupby(ENTRY_KEYS, sort=False, dropna=False)["n_generated"].min()
    return {key: int(n) for key, n in zip(numbers.index, numbers, strict=True) if n == n}


def _best_keys(means: dict[Key, float], up: bool) -> dict[Key, Key]:
    """Return each entry's best one of its data set (key[0]), if that has at least two values."""
    best: dict[Key, Key] = {}
    for dataset in {key[0] for key in means}:
        values = {key: mean for key, mean in means.items() if key[0] == dataset and mean == mean}
        if len(values) > 1:
            best |= dict.fromkeys(values, (max if up else min)(values, key=values.__getitem__))
    return best


def deviation_legend(cells: list[Cell], over: str = "generated images") -> str:
    """Return the legend of the plus-minus sign; with one seed it is a standard error over these."""
    seeds = sorted({cell.seeds for cell in cells if cell.seeds})
    if not seeds or seeds[-1] == 1:
        return f"\u00b1 standard error over {over}; one seed." if seeds else ""
    several = " or ".join(str(number) for number in seeds if number > 1)
    one = f"; with one seed, standard error over {over}" if seeds[0] == 1 else ""
    return f"\u00b1 standard deviation over {several} seeds{one}."


def _half_legend(rows: pd.DataFrame) -> str:
    """Return the legend of scores against a half of the reference; empty if there are none."""
    halved = rows["note"].str.contains(note_of(REPORTING), regex=False).any()
    return "Against the reporting half of the reference." if halved else ""


def _extractor_legend(columns: list[Column]) -> str:
    """Return the legend of extractors; columns of other extractors than the first are listed."""
    headings: dict[str, list[str]] = {}
    for column in columns:
        for extractor in column.rows["extractor"].unique()[:1]:
            headings.setdefault(extractor, []).append(column.name)
    first, *others = headings or [""]
    listed = [f"{', '.join(headings[extractor])} by {extractor}" for extractor in others]
    return f"Features: {', '.join([first, *listed])}." if first else ""


def order_by_extractor(rows: pd.DataFrame, extractors: list[str]) -> pd.DataFrame:
    """Return tidy rows in the order of these extractors; those of others come last."""
    positions = {name: i for i, name in enumerate(extractors)}
    order = rows["extractor"].map(positions).fillna(len(positions))
    return rows.iloc[order.argsort(kind="stable")]
