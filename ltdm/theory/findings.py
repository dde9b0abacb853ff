"""What the claims of mutual learning's paper come to in the sweeps of the theory lab."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ltdm.reporting.cells import Change
from ltdm.reporting.compare import LEVEL, UNKNOWN, Interval, half_width
from ltdm.reporting.tables import Table
from ltdm.theory.options import WORST
from ltdm.theory.tables import (
    argmin_index,
    distance_rows,
    last_class,
    last_step,
    log_mean,
    relative_change,
    seed_curves,
)

FIRST_STEP = 16  # steps from which on a slope is fitted: before, the first layer's scale shows
ROUNDING_LIMIT = 1e-12  # gaps below which rounding shows
Finding = tuple[tuple[Any, ...], Interval]
"""Tail, beta, what was found and what is claimed of it; and the value."""


class PowerLaw:
    """A power law, y = a x^slope, through curves: y by x, a column for each seed.

    Only points that are above ROUNDING_LIMIT for every seed count.

    Attributes:
        slope: Of the line through the logs of x and the mean of the logs of y, which is the mean
            of the seeds' own slopes; and its interval over them.
        x: The x that it goes through; none where fewer than two points are above ROUNDING_LIMIT.
        y: y there.
    """

    def __init__(self, curves: pd.DataFrame):
        resolved = curves[(curves > ROUNDING_LIMIT).all(axis=1)]
        self.slope, self.x, self.y = UNKNOWN, np.zeros(0), np.zeros(0)
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
    """Give the rows of each value of some axes, in rising order."""
    yield from rows.groupby(list(axes))


def _nash_gap_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give the slope of the Nash gap over steps for each beta, and over beta at the end."""
    gaps = rows[(rows["metric"] == "nash-gap") & (rows["steps"] >= FIRST_STEP)]
    for (tail, beta), group_rows in iter_groups(gaps, "tail", "beta"):
        slope = PowerLaw(seed_curves(group_rows, "nash-gap", "steps")).slope
        yield (int(tail), f"{beta:g}", "slope of the Nash gap over T", "-0.5"), slope
    bounds = rows[rows["metric"] == "step-bound"]
    for (tail, beta), group_rows in iter_groups(bounds, "tail", "beta"):
        steps = rows[(rows["metric"] == "step") & (rows["seed"] == 0) & (rows["beta"] == beta)]
        share = float(steps["value"].iloc[0] / group_rows["value"].iloc[0])
        key = (int(tail), f"{beta:g}", "step size over the largest that converges", "below 1")
        yield key, Interval(share, math.nan, math.nan, 1)
    ends = rows[(rows["beta"] > 0) & (rows["steps"] == math.inf)]
    for (tail,), group_rows in iter_groups(ends, "tail"):
        if group_rows["beta"].nunique() > 2:
            slope = PowerLaw(seed_curves(group_rows, "own-gap", "beta")).slope
            yield (int(tail), "", "slope of the own-cost gap over beta at the end", "1"), slope


def _generalisation_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give the slope of the last class's generalisation gap over its points for each beta."""
    if rows["tail"].nunique() < 3:
        return
    for beta, group_rows in rows[rows["steps"] == last_step(rows)].groupby("beta"):
        slope = PowerLaw(
            seed_curves(group_rows, "generalisation-gap", "tail", last_class(rows))
        ).slope
        yield ("", f"{beta:g}", "slope of the generalisation gap over points", "-1"), slope


def _distances_by_beta(rows: pd.DataFrame) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Give distances by beta and seed, for each metric, group, step and tail."""
    for key, group_rows in iter_groups(distance_rows(rows), "metric", "group", "steps", "tail"):
        yield key, group_rows.pivot(index="beta", columns="seed", values="value")


def _best_beta_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give how the worst class at its best beta differs from none, and from the largest."""
    for (metric, _, steps, tail), values in _distances_by_beta(rows[rows["group"] == WORST]):
        others = {values.index[0]: ", the least", values.index[-1]: ", the largest"}
        best = argmin_index(log_mean(values))
        beta = f"{best:g}{others.pop(best, '')}"
        for other in others:
            finding = f"worst {metric} after {steps:g} steps, against beta = {other:g}"
            yield (
                (int(tail), beta, finding, "below 0"),
                relative_change(values.T[best], values.T[other]),
            )


def _class_change_findings(rows: pd.DataFrame) -> Iterator[Finding]:
    """Give how each class's distances at the largest beta differ from those at the least."""
    for (metric, group, steps, tail), values in _distances_by_beta(rows[rows["group"] != WORST]):
        first, last = values.index[[0, -1]]
        if first < last:
            finding = f"{metric} ({group}) after {steps:g} steps, against beta = {first:g}"
            yield (
                (int(tail), f"{last:g}", finding, ""),
                relative_change(values.T[last], values.T[first]),
            )


FINDINGS_BY_FIGURE = {
    "nash-gap": _nash_gap_findings,
    "generalisation": _generalisation_findings,
    "v-curve": _best_beta_findings,
    "scores": _class_change_findings,
}  # fmt: skip
"""What is looked for in a sweep, by the figure that shows it."""


def findings_table(sweeps: Mapping[str, tuple[pd.DataFrame, Sequence[str]]]) -> Table:
    """Return what the paper's claims come to in each sweep (rows and figures), with intervals."""
    all_findings = [
        ((name, *key), change)
        for name, (rows, figures) in sweeps.items()
        for finder in (
            FINDINGS_BY_FIGURE[figure] for figure in figures if figure in FINDINGS_BY_FIGURE
        )
        for key, change in finder(rows)
    ]
    names = ["sweep", "tail", "beta", "finding", "claimed"]
    index = pd.MultiIndex.from_tuples([key for key, _ in all_findings], names=names)
    cells = pd.DataFrame({"found": [Change(change) for _, change in all_findings]}, index)
    legend = [
        f"In brackets {LEVEL:.0%} intervals over seeds; slopes are of logarithms; changes are"
        " shares, of the mean of logarithms: -0.5 is half as much. The best beta is chosen on the"
        " same seeds, which flatters what it gains."
    ]
    return Table(cells, legend)
