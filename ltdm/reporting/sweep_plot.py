"""The plot of a metric by a setting that sample sets sweep."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltdm.reporting.escapes import escape_label
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
from ltdm.reporting.sweeps import AXIS_LABELS

OWN: dict[str, Any] = {"linestyle": "--", "linewidth": 0.8, "label": "its own average"}
STAR: dict[str, Any] = {"linestyle": "", "marker": "*", "markersize": 8, "label": "chosen"}
"""How marked values look: of a run's own average (EMA), and of chosen sample sets."""


def plot_sweep(frame: pd.DataFrame, dataset: str) -> Figure:
    """Plot a metric by a setting (`width_frame`, `guidance_frame`), a panel per group of classes.

    A dashed line is a run's own EMA, a star a chosen sample set.
    """
    groups = list(frame["group"].unique()) or ["all"]
    width = ONE_COLUMN if len(groups) == 1 else TWO_COLUMNS
    figure, grid = plt.subplots(1, len(groups), figsize=(width, 2.1), squeeze=False)
    looks = line_looks(frame["line"])
    for axes, group in zip(grid[0], groups, strict=True):
        rows = frame[frame["group"] == group]
        for line, line_rows in rows.groupby("line", sort=False):
            _plot_line(axes, line_rows, {**looks[line], "linestyle": "-"})
        axes.set(title=short_title(dataset, group), xlabel="".join(frame["x_label"].unique()))
        if (frame["x_label"] == AXIS_LABELS["width"]).any():
            _label_widths(axes, frame["x"])
    grid[0, 0].set_ylabel("".join(frame["metric"].unique()))
    if frame.empty:
        add_note(grid[0, 0], "there are no values")
        return figure
    for mark, is_drawn in ((OWN, frame["x"].isna().any()), (STAR, frame["chosen"].any())):
        if is_drawn:
            grid[0, 0].plot([], [], color=GREY, **mark)
    add_legend(figure, *grid[0, 0].get_legend_handles_labels())
    return figure


def _plot_line(axes: Axes, rows: pd.DataFrame, look: dict[str, Any]) -> None:
    """Plot the points of a line with their band, and its marked values."""
    run, line = rows["run"].iloc[0], rows["line"].iloc[0]
    swept, own = rows[rows["x"].notna()], rows[rows["x"].isna()]
    label = escape_label(run) + line.removeprefix(run)
    (drawn,) = axes.plot(swept["x"], swept["value"], label=label, **look)
    fill_band(axes, drawn, swept["low"], swept["high"])
    for value in own["value"]:
        axes.axhline(value, **{**OWN, "color": look["color"], "label": None})
    best = rows[rows["chosen"]]
    if len(best):
        axes.plot(best["x"], best["value"], **{**STAR, "color": look["color"], "label": None})


def _label_widths(axes: Axes, widths: pd.Series) -> None:
    """Make the x axis a logarithmic axis of these widths."""
    ticks = sorted({*widths.dropna()})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{width:g}" for width in ticks])
    axes.minorticks_off()
