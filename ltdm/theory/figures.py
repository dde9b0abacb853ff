"""Figures of the theory lab: curves over a sweep."""

import math
from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import COLOURS
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


def plot_v_curve(rows: pd.DataFrame, title: str) -> Figure:
    """Plot the worst class's distances by beta: a line per tail, a row of panels per step.

    Lines are means of logarithms over seeds, bands one standard error, rings the minima.
    """
    distances = distance_rows(rows)
    metrics, all_steps = distances["metric"].unique(), sorted(distances["steps"].unique())
    size = (2.9 * len(metrics) + 1.2, 2.5 * len(all_steps) + 0.5)
    figure, panels = plt.subplots(len(all_steps), len(metrics), figsize=size, squeeze=False)
    for axes, (steps, metric) in zip(panels.flat, product(all_steps, metrics), strict=True):
        for colour, tail, line_rows in _pick_lines(distances[distances["steps"] == steps], "tail"):
            values = seed_curves(line_rows, metric, "beta").clip(lower=MIN_DISTANCE)
            _plot_band(axes, _place_zero(values), colour, f"{tail:g}")
        axes.set(title=f"{metric}, {steps:,.0f} steps", yscale="log")
        _label_beta_axis(axes, distances["beta"])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title="tail points", loc="outside right upper")
    figure.suptitle(f"{title}: the worst class")
    return figure


def plot_nash_gap(rows: pd.DataFrame, title: str) -> Figure:
    """Plot the exact Nash gap by training steps with fitted slopes, and gaps by beta.

    Lines are means of logarithms over seeds. Only the smallest tail is shown.
    """
    rows = rows[rows["tail"] == rows["tail"].min()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    for colour, beta, line_rows in _pick_lines(rows, "beta"):
        values = seed_curves(line_rows, "nash-gap", "steps")
        fit = PowerLaw(values[values.index >= FIRST_STEP])
        name = f"{beta:g}: slope {fit.slope.difference:.2f}"
        _plot_band(left, values, colour, name, ring=False)
        left.plot(fit.x, fit.y, "--", color=colour, linewidth=0.8)
    _plot_reference_slope(left, -0.5, r"the bound's $T^{-1/2}$")
    left.set(title=f"{title}: Nash gap", xlabel="training steps T", xscale="log", yscale="log")
    left.legend(title="beta", fontsize=7)
    last = last_step(rows)
    gaps = (
        ("nash-gap", last, f"Nash gap after {last:,.0f} steps"),
        ("own-gap", last, f"own-cost gap after {last:,.0f} steps"),
        ("own-gap", math.inf, "own-cost gap at the equilibrium"),
    )
    for colour, (metric, steps, name) in zip(COLOURS, gaps, strict=False):
        values = seed_curves(rows[rows["steps"] == steps], metric, "beta")
        resolved = values[values.mean(axis=1) > ROUNDING_LIMIT]
        _plot_band(right, _place_zero(resolved), colour, name, ring=False)
    right.set(title=f"{title}: gaps by beta", yscale="log")
    _label_beta_axis(right, rows["beta"])
    right.legend(fontsize=7)
    return figure


def plot_generalisation(rows: pd.DataFrame, title: str) -> Figure:
    """Plot the last class's generalisation gap by its points, a line per beta."""
    last = last_class(rows)
    figure, axes = plt.subplots(figsize=(4.8, 3.4))
    xlabel = f"points of the {escape_label(last)}"
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="gap of its loss")
    for colour, beta, line_rows in _pick_lines(rows[rows["steps"] == last_step(rows)], "beta"):
        values = seed_curves(line_rows, "generalisation-gap", "tail", last)
        slope = PowerLaw(values).slope.difference
        _plot_band(axes, values, colour, f"{beta:g}: slope {slope:.2f}", ring=False)
    _plot_reference_slope(axes, -1.0, r"$1 / n_y$")
    axes.set_title(f"{title}: generalisation, {last_step(rows):,.0f} steps")
    axes.legend(title="beta", fontsize=7)
    return figure


def _pick_lines(rows: pd.DataFrame, axis: str) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Yield (colour, value, rows) for up to MAX_LINES values of a column, evenly spaced."""
    values = sorted(rows[axis].dropna().unique())
    indices = np.linspace(0, len(values) - 1, min(MAX_LINES, len(values))).round().astype(int)
    for colour, k in zip(COLOURS, indices, strict=False):
        yield colour, float(values[k]), rows[rows[axis] == values[k]]


def _place_zero(values: pd.DataFrame) -> pd.DataFrame:
    """Move beta = 0 in the index of `seed_curves` to its place on a logarithmic axis."""
    betas = values.index
    return values.set_axis(betas.where(betas != 0, _zero_position(betas)))


def _zero_position(betas: Iterable[float]) -> float:
    """Return where a logarithmic axis shows 0: at a third of the smallest positive beta."""
    return min((b for b in betas if b > 0), default=1.0) / 3


def _label_beta_axis(axes: Axes, betas: pd.Series) -> None:
    """Make the x axis a logarithmic axis of beta, with 0 at its left end."""
    axes.set(xscale="log", xlabel="beta")
    if (betas == 0).any():
        positive = sorted(betas[betas > 0].unique())
        left = _zero_position(positive)
        right = max(positive, default=left)
        decades = range(math.ceil(math.log10(left) + 0.1), math.floor(math.log10(right)) + 1)
        marks = [10.0**k for k in decades] or positive
        axes.set_xticks([left, *marks], ["0", *(f"{mark:g}" for mark in marks)])
        axes.xaxis.set_minor_locator(NullLocator())


def _plot_band(
    axes: Axes, values: pd.DataFrame, colour: str, label: str, ring: bool = True
) -> None:
    """Plot `seed_curves`: their mean of logarithms, one standard error, a ring at the minimum."""
    logs = pd.DataFrame(np.log(values[(values > 0).all(axis=1)]))
    mean, error = logs.mean(axis=1), logs.std(axis=1).fillna(0) / math.sqrt(logs.shape[1])
    centre = np.exp(mean)
    axes.plot(centre.index, centre, "o-", color=colour, markersize=2.5, linewidth=1, label=label)
    low, high = np.exp(mean - error), np.exp(mean + error)
    axes.fill_between(centre.index, low, high, color=colour, alpha=0.15, linewidth=0)
    if ring and len(centre):
        x, y = [argmin_index(mean)], [centre.min()]
        axes.plot(x, y, "o", color=colour, markersize=7, fillstyle="none")


def _plot_reference_slope(axes: Axes, slope: float, label: str) -> None:
    """Plot a reference line of a given slope through the mean point of the axes' lines."""
    points = np.concatenate([np.asarray(line.get_xydata(), float) for line in axes.get_lines()])
    points = points[(points > 0).all(axis=1)]
    if not len(points):
        return
    x = np.array([points[:, 0].min(), points[:, 0].max()])
    centre = np.exp(np.log(points).mean(axis=0))
    axes.plot(x, centre[1] * (x / centre[0]) ** slope, ":", color="#888888", label=label)
