"""Tables of the theory lab: what each game's networks draw, and what the paper's claims come to."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy

from ltdm.reporting.cells import ALIKE, Cell, Change
from ltdm.reporting.compare import LEVEL, UNKNOWN, Interval, interval
from ltdm.reporting.tables import ARROWS, Table, spread_legend, table_rows

GAMES = ["tail", "updates", "beta"]
FIRST = 16
"""Updates from which on a slope is fitted: before, the first layer's scale shows."""
RESOLVED = 1e-12
"""Gaps below which rounding shows."""
Finding = tuple[tuple[Any, ...], Interval]
"""Tail, beta, what was found and what is claimed of it; and the value."""
Reported = Mapping[float, Mapping[str, tuple[float, float]]]


class Fit:
    """A power law through positive means over seeds, y = a x^slope.

    Args:
        curves: y by x, a column for each seed.

    Attributes:
        slope: Of the line through the logs of x and of the mean, and its interval over the slopes
            of the seeds' own curves.
        at: The x that it goes through; none where fewer than two points are above RESOLVED.
        line: y there.
    """

    def __init__(self, curves: pd.DataFrame):
        kept = curves[(curves > RESOLVED).all(axis=1)]
        self.slope, self.at, self.line = UNKNOWN, np.zeros(0), np.zeros(0)
        if len(kept) < 2:
            return
        self.at = kept.index.to_numpy(dtype=float)
        x, seeds = np.log(self.at), kept.shape[1]
        slope, offset = np.polyfit(x, np.log(kept.mean(axis=1)), 1)
        self.line = np.exp(slope * x + offset)
        each = np.polyfit(x, np.log(kept.to_numpy()), 1)[0]
        half = math.nan
        if seeds > 1:
            reach = scipy.special.stdtrit(seeds - 1, (1 + LEVEL) / 2)
            half = float(reach * each.std(ddof=1) / math.sqrt(seeds))
        self.slope = Interval(float(slope), float(slope) - half, float(slope) + half, seeds)


def by(rows: pd.DataFrame, keys: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Give the rows of each key, in rising order."""
    yield from rows.groupby(keys)


def least(values: pd.Series) -> float:
    """Return the number in the index at which a series is least."""
    return float(values.index.to_numpy()[values.to_numpy().argmin()])


def end(rows: pd.DataFrame) -> float:
    """Return the last update, as the rows have it."""
    return float(rows.loc[np.isfinite(rows["updates"]), "updates"].max())


def curves(rows: pd.DataFrame, metric: str, over: str, group: str = "worst") -> pd.DataFrame:
    """Return a metric over some axis, a column for each seed."""
    mine = rows[(rows["metric"] == metric) & (rows["group"] == group)]
    return mine.pivot_table(index=over, columns="seed", values="value")


def measures(rows: pd.DataFrame, classes: Sequence[str], reported: Reported) -> Table:
    """Return a line for each game: Frechet distance and KL of each class and of the worst.

    Args:
        rows: A sweep's.
        classes: Their names.
        reported: What others report of Frechet distances, by beta and class; it may be empty.
    """
    drawn = rows[rows["metric"].isin(["frechet", "kl"]) & rows["beta"].notna()]
    games = list(drawn[GAMES].drop_duplicates().sort_values(GAMES).itertuples(index=False))
    labels = [(int(tail), int(updates), f"{beta:g}") for tail, updates, beta in games]
    cells = pd.DataFrame(index=pd.MultiIndex.from_tuples(labels, names=GAMES))
    for metric in ("frechet", "kl"):
        for group in (*classes, "worst"):
            mine = drawn[(drawn["metric"] == metric) & (drawn["group"] == group)]
            heading = f"{metric} ({group}){ARROWS[False]}"
            cells[heading] = pd.Series(_column(mine, games), index=cells.index, dtype=object)
    legend = [
        spread_legend([cell for _, row in table_rows(cells) for cell in row], "exact draws"),
        f"Bold: best of its tail and updates; {ALIKE} not told from it: no {LEVEL:.0%} interval of"
        " the difference, paired by seed, excludes 0.",
    ]
    exact = rows[(rows["metric"] == "frechet") & rows["beta"].isna()].groupby("group")["value"]
    told = ", ".join(f"{exact.get_group(c).mean():.3f} ({c})" for c in classes)
    legend.append(f"With the exact scores the same sampler is at a Frechet distance of {told}.")
    for c in classes if reported else ():
        known = [Cell(*reported[b][c]) if b in reported else Cell() for *_, b in games]
        cells[f"reported frechet ({c})"] = pd.Series(known, index=cells.index, dtype=object)
    return Table(cells, legend)


def _column(rows: pd.DataFrame, games: list[Any]) -> list[Cell]:
    """Return the cells of a column, the best of each tail and number of updates marked."""
    found = {key: mine.set_index("seed")[["value", "error"]] for key, mine in by(rows, GAMES)}
    means = {key: mine["value"].mean() for key, mine in found.items()}
    cells = []
    for game in games:
        key = tuple(game)
        rivals = [other for other in found if other[:2] == key[:2]]
        best = min(rivals, key=means.__getitem__)
        alike = key != best and not interval(found[key], found[best]).tells
        mine, top = found[key], key == best and len(rivals) > 1
        spread = mine["value"].std() if len(mine) > 1 else mine["error"].iloc[0]
        cells.append(Cell(means[key], spread, len(mine), top, alike))
    return cells


def _gaps(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give the slope of the Nash gap over updates for each beta, and over beta at the end."""
    gaps = rows[(rows["metric"] == "nash-gap") & (rows["updates"] >= FIRST)]
    for (tail, beta), mine in by(gaps, ["tail", "beta"]):
        slope = Fit(curves(mine, "nash-gap", "updates")).slope
        yield (int(tail), f"{beta:g}", "slope of the Nash gap over T", "-0.5"), slope
    bounds = rows[rows["metric"] == "step-bound"]
    for (tail, beta), mine in by(bounds, ["tail", "beta"]):
        steps = rows[(rows["metric"] == "step") & (rows["seed"] == 0) & (rows["beta"] == beta)]
        share = float(steps["value"].iloc[0] / mine["value"].iloc[0])
        where = (int(tail), f"{beta:g}", "step size over the largest that converges", "below 1")
        yield where, Interval(share, math.nan, math.nan, 1)
    ends = rows[(rows["beta"] > 0) & (rows["updates"] == math.inf)]
    for tail, mine in by(ends, "tail"):
        if mine["beta"].nunique() > 2:
            slope = Fit(curves(mine, "own-gap", "beta")).slope
            yield (int(tail), "", "slope of the own-cost gap over beta at the end", "1"), slope


def _generalisation(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give the slope of the last class's generalisation gap over its points for each beta."""
    if rows["tail"].nunique() < 3:
        return
    last = [group for group in rows["group"].unique() if group != "worst"][-1]
    ends = rows[rows["updates"] == end(rows)]
    for beta, mine in by(ends, "beta"):
        slope = Fit(curves(mine, "generalisation-gap", "tail", last)).slope
        yield ("", f"{beta:g}", "slope of the generalisation gap over points", "-1"), slope


def _optima(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give what the worst class gains by its best beta over none, and over the largest."""
    drawn = rows[(rows["group"] == "worst") & rows["metric"].isin(["kl", "frechet"])]
    for (metric, updates, tail), mine in by(drawn, ["metric", "updates", "tail"]):
        by_beta = {b: m.set_index("seed")[["value", "error"]] for b, m in by(mine, "beta")}
        best = min(by_beta, key=lambda b: by_beta[b]["value"].mean())
        for other in (min(by_beta), max(by_beta)) if len(by_beta) > 2 else ():
            what = f"worst {metric} after {updates:g} updates, less that at beta = {other:g}"
            change = interval(by_beta[best], by_beta[other])
            yield (int(tail), f"{best:g}", what, "below 0"), change


def _changes(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give how each class's Frechet distance at the largest beta differs from that at the least."""
    drawn = rows[(rows["group"] != "worst") & (rows["metric"] == "frechet")]
    for (group, updates, tail), mine in by(drawn, ["group", "updates", "tail"]):
        first, last = mine["beta"].min(), mine["beta"].max()
        if first == last:
            continue
        one, other = (
            mine[mine["beta"] == b].set_index("seed")[["value", "error"]] for b in (last, first)
        )
        what = f"frechet ({group}) after {updates:g} updates, less that at beta = {first:g}"
        yield (int(tail), f"{last:g}", what, ""), interval(one, other)


FINDERS = {
    "nash-gap": _gaps, "generalisation": _generalisation, "v-curve": _optima, "scores": _changes,
}  # fmt: skip
"""What is looked for in a sweep, by the figure that shows it."""


def findings(sweeps: Mapping[str, tuple[pd.DataFrame, Sequence[str]]]) -> Table:
    """Return what the paper's claims come to in each sweep, with intervals over seeds.

    Args:
        sweeps: Rows and figures by the sweep's name.
    """
    found = [
        ((name, *where), change)
        for name, (rows, figures) in sweeps.items()
        for finder in (FINDERS[figure] for figure in figures if figure in FINDERS)
        for where, change in finder(rows)
    ]
    names = ["sweep", "tail", "beta", "finding", "claimed"]
    index = pd.MultiIndex.from_frame(pd.DataFrame([w for w, _ in found], columns=names))
    cells = pd.DataFrame(index=index)
    cells["found"] = pd.Series([Change(c) for _, c in found], index=index, dtype=object)
    legend = [
        f"In brackets {LEVEL:.0%} intervals over seeds; slopes are of logarithms. The best beta is"
        " chosen on the same seeds, which flatters what it gains."
    ]
    return Table(cells, legend)
