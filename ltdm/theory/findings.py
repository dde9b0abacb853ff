"""The claims of the mutual learning paper, tested on the sweeps of the theory lab."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ltdm.reporting.cells import DifferenceCell
from ltdm.reporting.compare import CONFIDENCE, NO_INTERVAL, Interval, half_width
from ltdm.reporting.tables import Table
from ltdm.theory.names import WORST
from ltdm.theory.tables import (
    argmin_index,
    distance_rows,
    last_class,
    last_step,
    log_mean,
    relative_change,
    seed_curves,
)

FIRST_STEP = 16  # slopes are fitted from this step on: before it, the first layer's scale dominates
ROUNDING_LIMIT = 1e-12  # gaps below it are dominated by rounding
Finding = tuple[tuple[Any, ...], Interval]
"""(tail, beta, finding, claimed value), and the measured value with its interval."""


class PowerLaw:
    """A power law y = a x^slope, fitted to curves: y by x (index), a column per seed.

    Only points with y above ROUNDING_LIMIT for every seed are used.

    Attributes:
        slope: Slope of the least-squares line of the mean log y by log x, which is the mean of the
            seeds' slopes, with its interval over seeds; NO_INTERVAL with fewer than two points.
        x: The x of these points; empty with fewer than two.
        y: The fitted y at x.
    """

    def __init__(self, curves: pd.DataFrame):
        resolved = curves[(curves > ROUNDING_LIMIT).all(axis=1)]
        self.slope, self.x, self.y = NO_INTERVAL, np.zeros(0), np.zeros(0)
        if len(resolved) < 2:
            return
        self.x = resolved.index.to_numpy(dtype=float)
        x, y, seeds = np.log(self.x), np.log(resolved.to_numpy()), resolved.shape[1]
        slope, offset = np.polyfit(x, y.mean(axis=1), 1)
        self.y = np.exp(slope * x + offset)
        slopes = np.polyfit(x, y, 1)[0]
        half = half_width(slopes) if seeds > 1 else math.nan
        self.slope = Interval(float(slope), float(slope) - half, float(slope) + half, seeds)


def iter_groups(rows: pd.DataFrame, *axes: str) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Yield the values of some columns and their rows, in rising order."""
    yield from rows.groupby(list(axes))


def _nash_gap_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Yield slopes of the Nash gap by steps and of the own-cost gap by beta, and step sizes."""
    gaps = rows[(rows["metric"] == "nash-gap") & (rows["steps"] >= FIRST_STEP)]
    for (tail, beta), group_rows in iter_groups(gaps, "tail", "beta"):
        slope = PowerLaw(seed_curves(group_rows, "nash-gap", "steps")).slope
        yield (int(tail), f"{beta:g}", "slope of the Nash gap over T", "-0.5"), slope
    bounds = rows[rows["metric"] == "step-bound"]
    for (tail, beta), group_rows in iter_groups(bounds, "tail", "beta"):
        sizes = rows[(rows["metric"] == "step") & (rows["seed"] == 0) & (rows["beta"] == beta)]
        ratio = float(sizes["value"].iloc[0] / group_rows["value"].iloc[0])
        key = (int(tail), f"{beta:g}", "step size over the largest that converges", "below 1")
        yield key, Interval(ratio, math.nan, math.nan, 1)
    ends = rows[(rows["beta"] > 0) & (rows["steps"] == math.inf)]
    for (tail,), group_rows in iter_groups(ends, "tail"):
        if group_rows["beta"].nunique() > 2:
            slope = PowerLaw(seed_curves(group_rows, "own-gap", "beta")).slope
            key = (int(tail), "", "slope of the own-cost gap over beta at the equilibrium", "1")
            yield key, slope


def _generalisation_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Yield the slope of the last class's generalisation gap by its points, for each beta."""
    if rows["tail"].nunique() < 3:
        return
    for beta, group_rows in rows[rows["steps"] == last_step(rows)].groupby("beta"):
        curves = seed_curves(group_rows, "generalisation-gap", "tail", last_class(rows))
        key = ("", f"{beta:g}", "slope of the generalisation gap over points", "-1")
        yield key, PowerLaw(curves).slope


def _distances_by_beta(rows: pd.DataFrame) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Yield distances by beta (rows) and seed (columns) of each (metric, group, steps, tail)."""
    for key, group_rows in iter_groups(distance_rows(rows), "metric", "group", "steps", "tail"):
        yield key, group_rows.pivot(index="beta", columns="seed", values="value")


def _best_beta_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Yield the worst class's change at its best beta from the smallest and the largest beta."""
    for (metric, _, steps, tail), values in _distances_by_beta(rows[rows["group"] == WORST]):
        others = {values.index[0]: ", the smallest", values.index[-1]: ", the largest"}
        best = argmin_index(log_mean(values))
        beta = f"{best:g}{others.pop(best, '')}"
        for other in others:
            finding = f"worst {metric} after {steps:g} steps, against beta = {other:g}"
            change = relative_change(values.T[best], values.T[other])
            yield (int(tail), beta, finding, "below 0"), change


def _class_change_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Yield each class's change of distances from the smallest to the largest beta."""
    for (metric, group, steps, tail), values in _distances_by_beta(rows[rows["group"] != WORST]):
        first, last = values.index[[0, -1]]
        if first < last:
            finding = f"{metric} ({group}) after {steps:g} steps, against beta = {first:g}"
            change = relative_change(values.T[last], values.T[first])
            yield (int(tail), f"{last:g}", finding, ""), change


FINDINGS_BY_FIGURE = {
    "nash-gap": _nash_gap_findings,
    "generalisation": _generalisation_findings,
    "v-curve": _best_beta_findings,
    "scores": _class_change_findings,
}
"""The findings that go with a figure of a sweep."""


def findings_table(sweeps: Mapping[str, tuple[pd.DataFrame, Sequence[str]]]) -> Table:
    """Return the table of findings, given each sweep's rows and figures by the sweep's name."""
    all_findings: list[Finding] = []
    for name, (rows, figures) in sweeps.items():
        for figure in figures:
            if figure in FINDINGS_BY_FIGURE:
                findings = FINDINGS_BY_FIGURE[figure](rows)
                all_findings += [((name, *key), value) for key, value in findings]
    names = ["sweep", "tail", "beta", "finding", "claimed"]
    index = pd.MultiIndex.from_tuples([key for key, _ in all_findings], names=names)
    cells = pd.DataFrame({"found": [DifferenceCell(value) for _, value in all_findings]}, index)
    legend = [
        f"In brackets: {CONFIDENCE:.0%} intervals over seeds. Slopes are fitted to logarithms."
        " Changes are relative, computed from mean logarithms: -0.5 is half as much. The best beta"
        " is chosen on the same seeds, which overstates its gain."
    ]
    return Table(cells, legend)
