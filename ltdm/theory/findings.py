"""What the claims of mutual learning's paper come to in the sweeps of the theory lab."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ltdm.reporting.cells import DifferenceCell
from ltdm.reporting.compare import CONFIDENCE, NO_INTERVAL, Interval, half_width
from ltdm.reporting.tables import Table
from ltdm.theory.options import WORST
from ltdm.theory.tables import change, curves, distances, end, last_class, least, middle

FIRST = 16  # updates from which on a slope is fitted: before, the first layer's scale shows
RESOLVED = 1e-12  # gaps below which rounding shows
Finding = tuple[tuple[Any, ...], Interval]
"""Tail, beta, what was found and what is claimed of it; and the value."""


class Fit:
    """A power law, y = a x^slope, through curves: y by x, a column for each seed.

    Only points that are above RESOLVED for every seed count.

    Attributes:
        slope: Of the line through the logs of x and the mean of the logs of y, which is the mean
            of the seeds' own slopes; and its interval over them.
        at: The x that it goes through; none where fewer than two points are above RESOLVED.
        line: y there.
    """

    def __init__(self, curves: pd.DataFrame):
        kept = curves[(curves > RESOLVED).all(axis=1)]
        self.slope, self.at, self.line = NO_INTERVAL, np.zeros(0), np.zeros(0)
        if len(kept) < 2:
            return
        self.at = kept.index.to_numpy(dtype=float)
        x, y, seeds = np.log(self.at), np.log(kept.to_numpy()), kept.shape[1]
        slope, offset = np.polyfit(x, y.mean(axis=1), 1)
        self.line = np.exp(slope * x + offset)
        each = np.polyfit(x, y, 1)[0]
        half = half_width(each) if seeds > 1 else math.nan
        self.slope = Interval(float(slope), float(slope) - half, float(slope) + half, seeds)


def _by(rows: pd.DataFrame, *axes: str) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Give the rows of each value of some axes, in rising order."""
    yield from rows.groupby(list(axes))


def _gaps(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give the slope of the Nash gap over updates for each beta, and over beta at the end."""
    gaps = rows[(rows["metric"] == "nash-gap") & (rows["steps"] >= FIRST)]
    for (tail, beta), mine in _by(gaps, "tail", "beta"):
        slope = Fit(curves(mine, "nash-gap", "steps")).slope
        yield (int(tail), f"{beta:g}", "slope of the Nash gap over T", "-0.5"), slope
    bounds = rows[rows["metric"] == "step-bound"]
    for (tail, beta), mine in _by(bounds, "tail", "beta"):
        steps = rows[(rows["metric"] == "step") & (rows["seed"] == 0) & (rows["beta"] == beta)]
        share = float(steps["value"].iloc[0] / mine["value"].iloc[0])
        where = (int(tail), f"{beta:g}", "step size over the largest that converges", "below 1")
        yield where, Interval(share, math.nan, math.nan, 1)
    ends = rows[(rows["beta"] > 0) & (rows["steps"] == math.inf)]
    for (tail,), mine in _by(ends, "tail"):
        if mine["beta"].nunique() > 2:
            slope = Fit(curves(mine, "own-gap", "beta")).slope
            yield (int(tail), "", "slope of the own-cost gap over beta at the end", "1"), slope


def _generalisation(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give the slope of the last class's generalisation gap over its points for each beta."""
    if rows["tail"].nunique() < 3:
        return
    for beta, mine in rows[rows["steps"] == end(rows)].groupby("beta"):
        slope = Fit(curves(mine, "generalisation-gap", "tail", last_class(rows))).slope
        yield ("", f"{beta:g}", "slope of the generalisation gap over points", "-1"), slope


def _by_beta(rows: pd.DataFrame) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Give distances by beta and seed, for each metric, group, step and tail."""
    for key, mine in _by(distances(rows), "metric", "group", "steps", "tail"):
        yield key, mine.pivot(index="beta", columns="seed", values="value")


def _optima(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give how the worst class at its best beta differs from none, and from the largest."""
    for (metric, _, updates, tail), values in _by_beta(rows[rows["group"] == WORST]):
        others = {values.index[0]: ", the least", values.index[-1]: ", the largest"}
        best = least(middle(values))
        beta = f"{best:g}{others.pop(best, '')}"
        for other in others:
            what = f"worst {metric} after {updates:g} updates, against beta = {other:g}"
            yield (int(tail), beta, what, "below 0"), change(values.T[best], values.T[other])


def _changes(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give how each class's distances at the largest beta differ from those at the least."""
    for (metric, group, updates, tail), values in _by_beta(rows[rows["group"] != WORST]):
        first, last = values.index[[0, -1]]
        if first < last:
            what = f"{metric} ({group}) after {updates:g} updates, against beta = {first:g}"
            yield (int(tail), f"{last:g}", what, ""), change(values.T[last], values.T[first])


FINDERS = {
    "nash-gap": _gaps, "generalisation": _generalisation, "v-curve": _optima, "scores": _changes,
}  # fmt: skip
"""What is looked for in a sweep, by the figure that shows it."""


def findings(sweeps: Mapping[str, tuple[pd.DataFrame, Sequence[str]]]) -> Table:
    """Return what the paper's claims come to in each sweep (rows and figures), with intervals."""
    found = [
        ((name, *where), change)
        for name, (rows, figures) in sweeps.items()
        for finder in (FINDERS[figure] for figure in figures if figure in FINDERS)
        for where, change in finder(rows)
    ]
    names = ["sweep", "tail", "beta", "finding", "claimed"]
    index = pd.MultiIndex.from_tuples([where for where, _ in found], names=names)
    cells = pd.DataFrame({"found": [DifferenceCell(change) for _, change in found]}, index)
    legend = [
        f"In brackets {CONFIDENCE:.0%} intervals over seeds; slopes are of logarithms; changes are"
        " shares, of the mean of logarithms: -0.5 is half as much. The best beta is chosen on the"
        " same seeds, which flatters what it gains."
    ]
    return Table(cells, legend)
