"""The numbers behind the theory lab's curves over a sweep.

A frame of curves has a row per point: `panel`, `line` (its label), `kind` (`measured`, `fit`,
`claim`), `x`, `value` and its band from `low` to `high`, and `minimum`, whether it is marked as the
line's smallest. Values are means of logarithms over seeds, bands one standard error.
"""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd

from ltdm.reporting.escapes import escape_label
from ltdm.theory.findings import FIRST_STEP, ROUNDING_LIMIT, PowerLaw
from ltdm.theory.tables import (
    MIN_DISTANCE,
    argmin_index,
    distance_rows,
    last_class,
    last_step,
    seed_curves,
)

MAX_LINES = 6  # lines per panel, spread evenly over the betas or tails
COLUMNS = ["panel", "line", "kind", "x", "value", "low", "high", "minimum"]


def v_curve_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the worst class's distances by beta: a line per tail, a panel per metric and step."""
    distances = distance_rows(rows)
    parts = []
    for steps, metric in product(sorted(distances["steps"].unique()), distances["metric"].unique()):
        for tail, line_rows in _pick_lines(distances[distances["steps"] == steps], "tail"):
            values = seed_curves(line_rows, metric, "beta").clip(lower=MIN_DISTANCE)
            panel = f"{metric}, {steps:,.0f} steps"
            parts.append(_curve(values, panel, f"{tail:g}", mark_minimum=True))
    return pd.concat(parts, ignore_index=True)


def nash_gap_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the exact Nash gap by training steps, with fitted slopes, and gaps by beta.

    Only the smallest tail is shown.
    """
    rows = rows[rows["tail"] == rows["tail"].min()]
    parts = []
    for beta, line_rows in _pick_lines(rows, "beta"):
        values = seed_curves(line_rows, "nash-gap", "steps")
        fit = PowerLaw(values[values.index >= FIRST_STEP])
        line = f"{beta:g}: slope {fit.slope.difference:.2f}"
        parts.append(_curve(values, "by steps", line))
        parts.append(_line("by steps", line, "fit", fit.x, fit.y))
    parts.append(_claim(parts, "by steps", -0.5, r"the bound's $T^{-1/2}$"))
    last = last_step(rows)
    gaps = (
        ("nash-gap", last, f"Nash gap after {last:,.0f} steps"),
        ("own-gap", last, f"own-cost gap after {last:,.0f} steps"),
        ("own-gap", math.inf, "own-cost gap at the equilibrium"),
    )
    for metric, steps, line in gaps:
        values = seed_curves(rows[rows["steps"] == steps], metric, "beta")
        resolved = values[values.mean(axis=1) > ROUNDING_LIMIT]
        parts.append(_curve(resolved, "by beta", line))
    return pd.concat(parts, ignore_index=True)


def generalisation_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the last class's generalisation gap by its points, a line per beta."""
    last = last_class(rows)
    panel = f"points of the {escape_label(last)}"
    parts = []
    for beta, line_rows in _pick_lines(rows[rows["steps"] == last_step(rows)], "beta"):
        values = seed_curves(line_rows, "generalisation-gap", "tail", last)
        line = f"{beta:g}: slope {PowerLaw(values).slope.difference:.2f}"
        parts.append(_curve(values, panel, line))
    parts.append(_claim(parts, panel, -1.0, r"$1 / n_y$"))
    return pd.concat(parts, ignore_index=True)


def _pick_lines(rows: pd.DataFrame, axis: str) -> Iterator[tuple[float, pd.DataFrame]]:
    """Yield value and rows for up to MAX_LINES values of a column, evenly spaced."""
    values = sorted(rows[axis].dropna().unique())
    indices = np.linspace(0, len(values) - 1, min(MAX_LINES, len(values))).round().astype(int)
    for k in indices:
        yield float(values[k]), rows[rows[axis] == values[k]]


def _curve(values: pd.DataFrame, panel: str, line: str, mark_minimum: bool = False) -> pd.DataFrame:
    """Return the points of `seed_curves`, those that are above 0 for every seed."""
    logs = pd.DataFrame(np.log(values[(values > 0).all(axis=1)]))
    mean, error = logs.mean(axis=1), logs.std(axis=1).fillna(0) / math.sqrt(logs.shape[1])
    frame = _line(panel, line, "measured", mean.index.to_numpy(), np.exp(mean.to_numpy()))
    frame["low"], frame["high"] = np.exp(mean - error).tolist(), np.exp(mean + error).tolist()
    if mark_minimum and len(frame):
        frame["minimum"] = frame["x"] == argmin_index(mean)
    return frame


def _line(panel: str, line: str, kind: str, x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Return the points of a line without a band."""
    points = {"x": np.asarray(x, float), "value": np.asarray(y, float)}
    frame = pd.DataFrame(points).assign(panel=panel, line=line, kind=kind)
    return frame.assign(low=frame["value"], high=frame["value"], minimum=False)[COLUMNS]


def _claim(parts: list[pd.DataFrame], panel: str, slope: float, line: str) -> pd.DataFrame:
    """Return a reference line of a given slope through the mean point of the lines so far."""
    points = pd.concat(parts)[["x", "value"]].to_numpy(float)
    points = points[(points > 0).all(axis=1)]
    if not len(points):
        return _line(panel, line, "claim", np.zeros(0), np.zeros(0))
    x = np.array([points[:, 0].min(), points[:, 0].max()])
    centre = np.exp(np.log(points).mean(axis=0))
    return _line(panel, line, "claim", x, centre[1] * (x / centre[0]) ** slope)
