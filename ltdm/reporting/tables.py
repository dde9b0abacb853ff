"""The main table, a row a run, the best in bold; and the differences from a baseline."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ltdm.plumbing.registry import module_name, names
from ltdm.reporting.cells import FEW_IMAGES_MARK, NOT_SIGNIFICANT, Cell, DifferenceCell
from ltdm.reporting.columns import parse_column
from ltdm.reporting.compare import (
    CONFIDENCE,
    ENTRY_KEYS,
    Key,
    differences_from,
    group_entries,
    paired_interval,
)
from ltdm.reporting.rows import FEW_IMAGES

ARROWS = {True: " \u2191", False: " \u2193", None: ""}
INCEPTION_NAMES = {
    "frechet": "FID",
    "frechet-infinity": "FID\u221e",
    "kid": "KID",
    "inception-score": "IS",
}
"""Names that a metric has with the Inception features alone."""


class Table(NamedTuple):
    """Cells indexed by run and by whatever else differs between rows, and what explains them."""

    cells: pd.DataFrame
    legend: list[str]


class Column(NamedTuple):
    """A column of a table and what it is made of."""

    heading: str
    up: bool | None  # whether higher is better; None if neither is
    rows: pd.DataFrame


def _metrics() -> Iterator[ModuleType]:
    return (import_module(module_name("metric", name)) for name in names("metric"))


def directions() -> dict[str, bool | None]:
    """Return whether higher is better of every value of every metric."""
    return {name: up for m in _metrics() for name, up in m.HIGHER_IS_BETTER.items()}


def split_label(metric: str) -> tuple[str, str]:
    """Split `pr5.recall` into the part's label and the value's name; names may hold dots too."""
    if metric in directions():
        return "", metric
    label, _, name = metric.partition(".")
    return label, name


def main_table(rows: pd.DataFrame, columns: list[str]) -> Table:
    """Return the main table, of tidy rows in the config's order of extractors.

    Columns are named as in `columns`, each in the first feature space that has its metric.
    """
    table_columns = [_column(rows, column) for column in columns]
    cells = pivot(rows, table_columns, column_cells, Cell())
    all_cells = list(cells.to_numpy().flat)
    legend = [deviation_legend(all_cells), _extractor_legend(table_columns)]
    if any(cell.not_significant for cell in all_cells):
        legend.append(
            f"{NOT_SIGNIFICANT} not significantly different from the best (bold): the {CONFIDENCE * 100:.0f} %"
            " interval of the paired difference includes 0."
        )
    if any(cell.few_images for cell in all_cells):
        legend.append(f"{FEW_IMAGES_MARK} based on few images: compare within a column only.")
    return Table(cells, [line for line in legend if line])


def difference_table(rows: pd.DataFrame, columns: list[str], baseline: str) -> Table:
    """Return the same columns as paired differences from a run, which is itself left out."""

    def difference_cells(column: Column) -> dict[Key, DifferenceCell]:
        return {
            key: DifferenceCell(
                difference,
                difference.low > 0 if column.up else column.up is not None and difference.high < 0,
            )
            for key, difference in differences_from(column.rows, baseline).items()
        }

    table_columns = [_column(rows, column) for column in columns]
    cells = pivot(rows[rows["run"] != baseline], table_columns, difference_cells, DifferenceCell())
    seeds = max((cell.interval.seeds for cell in cells.to_numpy().flat), default=0)
    if not seeds:
        return Table(cells, [f"No run to compare with {baseline}, or it is not among these runs."])
    basis = (f"over {seeds} seeds" if seeds > 1 else "over generated images of one seed, which says"
            " nothing of how training varies")  # fmt: skip
    legend = f"Difference from {baseline} and its {CONFIDENCE:.0%} interval {basis}; bold: better than it."
    return Table(cells, [legend, _extractor_legend(table_columns)])


def pivot(
    rows: pd.DataFrame,
    columns: list[Column],
    cells: Callable[[Column], Mapping[Key, Cell | DifferenceCell]],
    empty_cell: Cell | DifferenceCell,
) -> pd.DataFrame:
    """Return a line for each entry and a column for each column, in the rows' order."""
    entries = rows[ENTRY_KEYS].drop_duplicates()
    index = pd.MultiIndex.from_frame(entries)
    table = {}
    for column in columns:
        column_rows = cells(column)
        table[column.heading] = [column_rows.get(key, empty_cell) for key in index]
    constant_keys: list[Any] = [
        k for k in ENTRY_KEYS if k != "run" and entries[k].astype(str).nunique() <= 1
    ]
    return pd.DataFrame(table, index).droplevel(constant_keys)


def _column(rows: pd.DataFrame, column: str) -> Column:
    metric, group, baseline = parse_column(column)
    column_rows = rows[(rows["metric"] == metric) & (rows["group"] == (group or "all"))]
    extractor = column_rows["extractor"].iloc[0] if len(column_rows) else ""
    up = directions()[split_label(metric)[1]]
    heading = display_name(metric, extractor)
    if baseline:
        up, heading = None, f"{heading} baseline"
        column_rows = column_rows.assign(value=column_rows["baseline"], error=np.nan)
    heading += (f" ({group})" if group else "") + ARROWS[up]
    return Column(heading, up, column_rows[column_rows["extractor"] == extractor])


def display_name(metric: str, extractor: str) -> str:
    """Return what people call a metric in a feature space."""
    label, name = split_label(metric)
    all_cells = INCEPTION_NAMES.get(name, name) if extractor == "inception" else name
    return f"{label}.{all_cells}" if label else all_cells


def column_cells(column: Column) -> dict[Key, Cell]:
    """Return the entries of one column by what they are about."""
    table_columns = group_entries(column.rows)
    means = {key: column_rows["value"].mean() for key, column_rows in table_columns.items()}
    best = _best(means, column.up) if column.up is not None else {}
    cells = {}
    for key, column_rows in table_columns.items():
        best_key = best.get(key)
        not_significant = (
            best_key is not None
            and best_key != key
            and not paired_interval(column_rows, table_columns[best_key]).significant
        )
        deviation = (
            column_rows["value"].std() if len(column_rows) > 1 else column_rows["error"].iloc[0]
        )
        few_images = any(FEW_IMAGES in note.split(", ") for note in column_rows["note"])
        cells[key] = Cell(
            means[key], deviation, len(column_rows), best_key == key, not_significant, few_images
        )
    return cells


def _best(means: dict[Key, float], up: bool) -> dict[Key, Key]:
    """Return for each entry the best one of its data set, where there are several."""
    best: dict[Key, Key] = {}
    for dataset in {key[0] for key in means}:
        column_rows = {
            key: mean for key, mean in means.items() if key[0] == dataset and mean == mean
        }
        if len(column_rows) > 1:
            best |= dict.fromkeys(
                column_rows, (max if up else min)(column_rows, key=column_rows.__getitem__)
            )
    return best


def deviation_legend(cells: list[Cell], over: str = "generated images") -> str:
    """Say what stands behind the sign of plus or minus; of one seed, what the error is over."""
    seeds = sorted({cell.seeds for cell in cells if cell.seeds})
    if not seeds or seeds[-1] == 1:
        return f"\u00b1 standard error over {over}; one seed." if seeds else ""
    return f"\u00b1 standard deviation over {' or '.join(map(str, seeds))} seeds."


def _extractor_legend(columns: list[Column]) -> str:
    """Say whose features the columns are in; all but the first extractor's by name."""
    headings: dict[str, list[str]] = {}
    for column in columns:
        for extractor in column.rows["extractor"].unique()[:1]:
            headings.setdefault(extractor, []).append(
                column.heading.removesuffix(ARROWS[column.up])
            )
    first, *other_extractors = headings or [""]
    legend = [f"{', '.join(headings[extractor])} by {extractor}" for extractor in other_extractors]
    return f"Features: {', '.join([first, *legend])}." if first else ""
