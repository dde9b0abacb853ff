"""The main table, a row a run, the best in bold; and the differences from a baseline."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd

from ltdm.plumbing.registry import module_name, part_names
from ltdm.reporting.cells import ALIKE, SMALL, Cell, Change
from ltdm.reporting.compare import KEYS, LEVEL, Key, entries, from_baseline, interval

ARROWS = {True: " \u2191", False: " \u2193", None: ""}
EARNED = {"frechet": "FID", "frechet-infinity": "FID\u221e", "kid": "KID", "inception-score": "IS"}
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
    return (import_module(module_name("metric", name)) for name in part_names("metric"))


def baseline_of(metric: str) -> str | None:
    """Return the metric that says what another would be of real images, if there is one."""
    label, dot, name = metric.rpartition(".")
    known = {k: v for m in _metrics() for k, v in getattr(m, "BASELINES", {}).items()}
    return label + dot + known[name] if name in known else None


def main_table(rows: pd.DataFrame, columns: list[str]) -> Table:
    """Return the main table, of tidy rows in the config's order of extractors.

    Columns are `metric` (over all classes) or `metric@group`, each in the first feature space that
    has it.
    """
    found = [_column(rows, column) for column in columns]
    cells = laid_out(rows, found, cells_of, Cell())
    shown = list(cells.to_numpy().flat)
    legend = [spread_legend(shown), _spaces(found)]
    if any(cell.alike for cell in shown):
        legend.append(
            f"{ALIKE} not told from the best (bold): no {LEVEL:.0%} interval of the paired"
            " difference excludes 0."
        )
    if any(cell.small for cell in shown):
        legend.append(f"{SMALL} from few images: compare within a column only.")
    return Table(cells, [line for line in legend if line])


def difference_table(rows: pd.DataFrame, columns: list[str], baseline: str) -> Table:
    """Return the same columns as paired differences from a run, which is itself left out."""

    def changes(column: Column) -> dict[Key, Change]:
        return {
            key: Change(one, one.low > 0 if column.up else column.up is not None and one.high < 0)
            for key, one in from_baseline(column.rows, baseline).items()
        }

    found = [_column(rows, column) for column in columns]
    cells = laid_out(rows[rows["run"] != baseline], found, changes, Change())
    seeds = max((cell.interval.seeds for cell in cells.to_numpy().flat), default=0)
    if not seeds:
        return Table(cells, [f"No run to compare with {baseline}, or it is not among these runs."])
    what = (f"over {seeds} seeds" if seeds > 1 else "over generated images of one seed, which says"
            " nothing of how training varies")  # fmt: skip
    told = f"Difference from {baseline} and its {LEVEL:.0%} interval {what}; bold: better than it."
    return Table(cells, [told, _spaces(found)])


def laid_out(
    rows: pd.DataFrame,
    columns: list[Column],
    cells: Callable[[Column], Mapping[Key, Cell | Change]],
    nothing: Cell | Change,
) -> pd.DataFrame:
    """Return a line for each entry and a column for each column, in the rows' order."""
    made = rows[KEYS].drop_duplicates()
    index = pd.MultiIndex.from_frame(made)
    table = {}
    for column in columns:
        mine = cells(column)
        table[column.heading] = [mine.get(key, nothing) for key in index]
    same: list[Any] = [k for k in KEYS if k != "run" and made[k].astype(str).nunique() <= 1]
    return pd.DataFrame(table, index).droplevel(same)


def _column(rows: pd.DataFrame, column: str) -> Column:
    metric, _, group = column.partition("@")
    mine = rows[(rows["metric"] == metric) & (rows["group"] == (group or "all"))]
    extractor = mine["features"].iloc[0] if len(mine) else ""
    directions = {name: up for m in _metrics() for name, up in m.HIGHER_IS_BETTER.items()}
    up = directions[metric.rpartition(".")[2]]
    heading = called(metric, extractor) + (f" ({group})" if group else "") + ARROWS[up]
    return Column(heading, up, mine[mine["features"] == extractor])


def called(metric: str, extractor: str) -> str:
    """Return what people call a metric in a feature space."""
    label, dot, name = metric.rpartition(".")
    return label + dot + (EARNED.get(name, name) if extractor == "inception" else name)


def cells_of(column: Column) -> dict[Key, Cell]:
    """Return the entries of one column by what they are about."""
    found = entries(column.rows)
    means = {key: mine["value"].mean() for key, mine in found.items()}
    best = _best(means, column.up) if column.up is not None else {}
    cells = {}
    for key, mine in found.items():
        top = best.get(key)
        alike = top is not None and top != key and not interval(mine, found[top]).tells
        spread = mine["value"].std() if len(mine) > 1 else mine["error"].iloc[0]
        small = bool(mine["note"].str.contains("small n").any())
        cells[key] = Cell(means[key], spread, len(mine), top == key, alike, small)
    return cells


def _best(means: dict[Key, float], up: bool) -> dict[Key, Key]:
    """Return for each entry the best one of its data set, where there are several."""
    best: dict[Key, Key] = {}
    for dataset in {key[0] for key in means}:
        mine = {key: mean for key, mean in means.items() if key[0] == dataset and mean == mean}
        if len(mine) > 1:
            best |= dict.fromkeys(mine, (max if up else min)(mine, key=mine.__getitem__))
    return best


def spread_legend(cells: list[Cell], over: str = "generated images") -> str:
    """Say what stands behind the sign of plus or minus; of one seed, what the error is over."""
    seeds = sorted({cell.seeds for cell in cells if cell.seeds})
    if not seeds or seeds[-1] == 1:
        return f"\u00b1 standard error over {over}; one seed." if seeds else ""
    return f"\u00b1 standard deviation over {' or '.join(map(str, seeds))} seeds."


def _spaces(columns: list[Column]) -> str:
    """Say whose features the columns are in; all but the first extractor's by name."""
    by_space: dict[str, list[str]] = {}
    for column in columns:
        for space in column.rows["features"].unique()[:1]:
            by_space.setdefault(space, []).append(column.heading.rsplit(" ", 1)[0])
    first, *others = by_space or [""]
    told = [f"{', '.join(by_space[space])} by {space}" for space in others]
    return f"Features: {', '.join([first, *told])}." if first else ""
