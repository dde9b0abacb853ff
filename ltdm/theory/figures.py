"""Figures of the theory lab: curves over a sweep, and what single networks say and draw."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

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

T = TypeVar("T")
ARROW_STRIDE = 4  # points of a grid to an arrow
ERROR_COLOURS = LinearSegmentedColormap.from_list("wrong", ["#222222", COLOURS[1]])
MAX_LINES = 6  # weights or tails that get a line of their own where each has one


def plot_v_curve(rows: pd.DataFrame, title: str) -> Figure:
    """Draw the worst class's distances by beta, a line for each tail, a row for each training.

    Lines are means of logarithms over seeds, bands one standard error, rings the least values.
    """
    drawn = distance_rows(rows)
    metrics, trainings = drawn["metric"].unique(), sorted(drawn["steps"].unique())
    size = (2.9 * len(metrics) + 1.2, 2.5 * len(trainings) + 0.5)
    figure, grid = plt.subplots(len(trainings), len(metrics), figsize=size, squeeze=False)
    for axes, (steps, metric) in zip(grid.flat, product(trainings, metrics), strict=True):
        for colour, tail, line_rows in _pick_lines(drawn[drawn["steps"] == steps], "tail"):
            values = seed_curves(line_rows, metric, "beta").clip(lower=MIN_DISTANCE)
            _plot_band(axes, _place_zero(values), colour, f"{tail:g}")
        axes.set(title=f"{metric}, {steps:,.0f} updates", yscale="log")
        _label_beta_axis(axes, drawn["beta"])
    figure.legend(*grid[0, 0].get_legend_handles_labels(), title="tail points",
                  loc="outside right upper")  # fmt: skip
    figure.suptitle(f"{title}: the worst class")
    return figure


def plot_nash_gap(rows: pd.DataFrame, title: str) -> Figure:
    """Draw the exact Nash gap over updates with fitted slopes, and gaps over beta.

    Lines are means of logarithms over seeds; of several tails the first is shown.
    """
    rows = rows[rows["tail"] == rows["tail"].min()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    for colour, beta, line_rows in _pick_lines(rows, "beta"):
        values = seed_curves(line_rows, "nash-gap", "steps")
        fit = PowerLaw(
            seed_curves(line_rows[line_rows["steps"] >= FIRST_STEP], "nash-gap", "steps")
        )
        name = f"{beta:g}: slope {fit.slope.difference:.2f}"
        _plot_band(left, values, colour, name, ring=False)
        left.plot(fit.x, fit.y, "--", color=colour, linewidth=0.8)
    _plot_reference_slope(left, -0.5, r"the bound's $T^{-1/2}$")
    left.set(title=f"{title}: Nash gap", xlabel="updates T", xscale="log", yscale="log")
    left.legend(title="beta", fontsize=7)
    last = last_step(rows)
    for colour, (metric, steps, name) in zip(COLOURS, (
        ("nash-gap", last, f"Nash gap after {last:,.0f} updates"),
        ("own-gap", last, "gap of own costs, then"),
        ("own-gap", math.inf, "gap of own costs, at the equilibrium"),
    ), strict=False):  # fmt: skip
        values = seed_curves(rows[rows["steps"] == steps], metric, "beta")
        _plot_band(
            right,
            _place_zero(values[values.mean(axis=1) > ROUNDING_LIMIT]),
            colour,
            name,
            ring=False,
        )
    right.set(title=f"{title}: gaps by beta", yscale="log")
    _label_beta_axis(right, rows["beta"])
    right.legend(fontsize=7)
    return figure


def plot_generalisation(rows: pd.DataFrame, title: str) -> Figure:
    """Draw the last class's generalisation gap over its points, a line for each beta."""
    last = last_class(rows)
    figure, axes = plt.subplots(figsize=(4.8, 3.4))
    axes.set(xscale="log", yscale="log", xlabel=f"points of the {last}", ylabel="gap of its loss")
    for colour, beta, line_rows in _pick_lines(rows[rows["steps"] == last_step(rows)], "beta"):
        values = seed_curves(line_rows, "generalisation-gap", "tail", last)
        slope = PowerLaw(values).slope.difference
        _plot_band(axes, values, colour, f"{beta:g}: slope {slope:.2f}", ring=False)
    _plot_reference_slope(axes, -1.0, r"$1 / n_y$")
    axes.set_title(f"{title}: generalisation, {last_step(rows):,.0f} updates")
    axes.legend(title="beta", fontsize=7)
    return figure


class ScoreField(NamedTuple):
    """A score field on a grid of points."""

    x: np.ndarray  # the points, (n, n, 2)
    score: np.ndarray  # (n, n, 2)
    distance: np.ndarray  # its distance from the exact score, (n, n)
    density: np.ndarray  # the class's, (n, n)
    error: float  # root of the mean square of `distance` over the density


def plot_scores(fields: Mapping[tuple[str, str], ScoreField], title: str) -> Figure:
    """Draw arrows of score fields, redder where they are wrong, over the class's exact density.

    Rows are classes; columns are what says the score.
    """
    scale = max(float(np.quantile(field.distance, 0.9)) for field in fields.values())

    def draw(axes: Axes, field: ScoreField) -> None:
        x, y = field.x[..., 0], field.x[..., 1]
        axes.contourf(x, y, field.density, levels=8, cmap="Blues", alpha=0.7)
        strided = np.s_[ARROW_STRIDE // 2 :: ARROW_STRIDE, ARROW_STRIDE // 2 :: ARROW_STRIDE]
        u, v = field.score[..., 0], field.score[..., 1]
        axes.quiver(x[strided], y[strided], u[strided], v[strided], field.distance[strided], cmap=ERROR_COLOURS,
                    clim=(0, scale), width=0.006)  # fmt: skip
        axes.set_xlabel(f"error {field.error:.2f}")

    return _panel_grid(fields, title, draw)


class PointCloud(NamedTuple):
    """Points drawn of a class."""

    points: np.ndarray  # (n, 2)
    training: np.ndarray  # the class's training points, (k, 2)
    distance: float  # Frechet's, of the points from the class


def plot_clouds(drawn: Mapping[tuple[str, str], PointCloud], title: str) -> Figure:
    """Draw what networks draw, and training points of small classes.

    Rows are classes; columns are what draws, the exact scores first.
    """
    first = next(iter(drawn))[1]
    reach = max(float(np.abs(c.points).max()) for (_, who), c in drawn.items() if who == first)

    def draw(axes: Axes, cloud: PointCloud) -> None:
        axes.scatter(cloud.points[:, 0], cloud.points[:, 1], s=2, linewidths=0, alpha=0.5)
        if len(cloud.training) <= 200:
            x, y = cloud.training.T
            axes.scatter(x, y, s=7, marker="x", color=COLOURS[1], linewidths=0.7)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        axes.set_xlabel(f"Frechet distance {cloud.distance:.2f}")

    return _panel_grid(drawn, title, draw)


def _panel_grid(
    panels: Mapping[tuple[str, str], T], title: str, draw: Callable[[Axes, T], None]
) -> Figure:
    """Draw a panel for each class (row) and author (column)."""
    rows, columns = (list(dict.fromkeys(key[k] for key in panels)) for k in (0, 1))
    size = (2.4 * len(columns) + 0.5, 2.5 * len(rows) + 0.4)
    figure, grid = plt.subplots(len(rows), len(columns), figsize=size, squeeze=False)
    for axes, key in zip(grid.flat, product(rows, columns), strict=True):
        draw(axes, panels[key])
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.grid(visible=False)
    for axes, row in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(row)
    for axes, column in zip(grid[0], columns, strict=True):
        axes.set_title(column)
    figure.suptitle(title)
    return figure


def _pick_lines(rows: pd.DataFrame, axis: str) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Give a colour, the value and its rows for some values of an axis, evenly from all."""
    values = sorted(rows[axis].dropna().unique())
    picked = np.linspace(0, len(values) - 1, min(MAX_LINES, len(values))).round().astype(int)
    for colour, k in zip(COLOURS, picked, strict=False):
        yield colour, float(values[k]), rows[rows[axis] == values[k]]


def _place_zero(values: pd.DataFrame) -> pd.DataFrame:
    """Move beta = 0 to where a logarithmic axis has room for it."""
    return values.rename(index={0.0: _zero_position(values.index)})


def _zero_position(betas: Iterable[float]) -> float:
    return min((b for b in betas if b > 0), default=1.0) / 3


def _label_beta_axis(axes: Axes, betas: pd.Series) -> None:
    """Name the axis of beta, with 0 at its left end."""
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
    """Draw the mean of logarithms over seeds with one standard error, and a ring at its least."""
    logs = pd.DataFrame(np.log(values[(values > 0).all(axis=1)]))
    mean, error = logs.mean(axis=1), logs.std(axis=1).fillna(0) / math.sqrt(logs.shape[1])
    middle = np.exp(mean)
    axes.plot(middle.index, middle, "o-", color=colour, markersize=2.5, linewidth=1, label=label)
    low, high = np.exp(mean - error), np.exp(mean + error)
    axes.fill_between(middle.index, low, high, color=colour, alpha=0.15, linewidth=0)
    if ring and len(middle):
        axes.plot(
            [argmin_index(mean)], [middle.min()], "o", color=colour, markersize=7, fillstyle="none"
        )


def _plot_reference_slope(axes: Axes, slope: float, label: str) -> None:
    """Draw a slope for comparison through the middle of the axes' lines."""
    points = np.concatenate([np.asarray(line.get_xydata(), float) for line in axes.get_lines()])
    points = points[(points > 0).all(axis=1)]
    if not len(points):
        return
    x = np.array([points[:, 0].min(), points[:, 0].max()])
    middle = np.exp(np.log(points).mean(axis=0))
    axes.plot(x, middle[1] * (x / middle[0]) ** slope, ":", color="#888888", label=label)
