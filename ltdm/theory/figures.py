"""Figures of the theory lab: curves over a sweep (theory/curves.py)."""

import math

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ltdm.reporting.style import (
    GREY,
    ONE_COLUMN,
    TWO_COLUMNS,
    add_legend,
    add_note,
    fill_band,
    line_looks,
    short_title,
)

LINES_PER_COLUMN = 4  # of a panel's own legend


def plot_v_curve(frame: pd.DataFrame, sweep: str) -> Figure:
    """Plot `v_curve_frame`, a row of panels per step; rings mark the minima."""
    titles = list(frame["panel"].unique())
    across = len({title.partition(", ")[0] for title in titles})
    lines = -(-len(titles) // across)
    size = (ONE_COLUMN if across == 1 else TWO_COLUMNS, 1.7 * lines + 0.2)
    figure, panels = plt.subplots(lines, across, figsize=size, squeeze=False)
    for axes, title in zip(panels.flat, titles, strict=True):
        _plot_panel(axes, frame[frame["panel"] == title], at_zero=True)
        axes.set(title=title, yscale="log")
        _label_beta_axis(axes, frame["x"])
    add_legend(figure, *panels[0, 0].get_legend_handles_labels(), title="tail points")
    figure.suptitle(short_title(sweep, "the worst class"))
    return figure


def plot_nash_gap(frame: pd.DataFrame, sweep: str) -> Figure:
    """Plot `nash_gap_frame`: the gap by steps with its fits (dashed), and gaps by beta."""
    by_steps, by_beta = (frame[frame["panel"] == name] for name in ("by steps", "by beta"))
    figure, (left, right) = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.9))
    _plot_panel(left, by_steps)
    title = short_title(sweep, "Nash gap")
    left.set(title=title, xlabel="training steps T", xscale="log", yscale="log")
    _add_legend_below(left, "beta")
    _plot_panel(right, by_beta, at_zero=True)
    right.set(title=short_title(sweep, "gaps by beta"), yscale="log")
    _label_beta_axis(right, by_beta["x"])
    _add_legend_below(right)
    return figure


def _add_legend_below(axes: Axes, title: str | None = None) -> None:
    """Add a panel's own legend, where it hides no data."""
    if lines := len(axes.get_legend_handles_labels()[1]):
        columns = 2 if lines > LINES_PER_COLUMN else 1
        axes.legend(title=title, ncols=columns, loc="upper center", bbox_to_anchor=(0.5, -0.22))


def plot_generalisation(frame: pd.DataFrame, sweep: str) -> Figure:
    """Plot `generalisation_frame`."""
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 2.2))
    xlabel = "".join(frame["panel"].unique())
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="gap of its loss")
    _plot_panel(axes, frame)
    axes.set_title(short_title(sweep, "generalisation"))
    if frame.empty:
        add_note(axes, "no gap is above 0")
    else:
        add_legend(figure, *axes.get_legend_handles_labels(), title="beta")
    return figure


def _plot_panel(axes: Axes, frame: pd.DataFrame, at_zero: bool = False) -> None:
    """Plot the lines of a panel; with `at_zero`, x = 0 has a place on the logarithmic axis."""
    looks = line_looks(frame.loc[frame["kind"] == "measured", "line"])
    if at_zero:
        frame = frame.assign(x=frame["x"].where(frame["x"] != 0, _zero_position(frame["x"])))
    for line, kind in frame[["line", "kind"]].drop_duplicates().to_numpy():
        rows = frame[(frame["line"] == line) & (frame["kind"] == kind)]
        if kind == "claim":
            axes.plot(rows["x"], rows["value"], ":", color=GREY, label=line)
        elif kind == "fit":
            axes.plot(rows["x"], rows["value"], "--", color=looks[line]["color"], linewidth=0.8)
        else:
            look = {**looks[line], "linestyle": "-"}
            (drawn,) = axes.plot(rows["x"], rows["value"], markersize=2.5, label=line, **look)
            fill_band(axes, drawn, rows["low"], rows["high"])
            best = rows[rows["minimum"]]
            if len(best):
                ring = {"color": look["color"], "markersize": 6, "fillstyle": "none"}
                axes.plot(best["x"], best["value"], "o", **ring)


def _zero_position(betas: pd.Series) -> float:
    """Return where a logarithmic axis shows 0: at a third of the smallest positive beta."""
    return min(betas[betas > 0], default=1.0) / 3


def _label_beta_axis(axes: Axes, betas: pd.Series) -> None:
    """Make the x axis a logarithmic axis of beta, with 0 at its left end."""
    axes.set(xscale="log", xlabel="beta")
    if (betas == 0).any():
        left = _zero_position(betas)
        positive = sorted(betas[betas > 0].unique())
        right = max(positive, default=left)
        decades = range(math.ceil(math.log10(left) + 0.1), math.floor(math.log10(right)) + 1)
        marks = [10.0**k for k in decades] or positive
        axes.set_xticks([left, *marks], ["0", *(f"{mark:g}" for mark in marks)])
        axes.xaxis.set_minor_locator(NullLocator())
