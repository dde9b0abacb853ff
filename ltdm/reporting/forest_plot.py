"""The plot of differences from the baseline run: a panel per column of the main table."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltdm.reporting.compare import CONFIDENCE
from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import COLOURS, GREY, ONE_COLUMN, TWO_COLUMNS, add_note, short_title

MAX_PANELS = 6
PANELS_PER_LINE = 3
MAX_EXTENT = 3  # of the axis, relative to the largest difference; longer intervals are cut off
DIRECTIONS = {True: "better \u2192", False: "\u2190 better", None: ""}


def plot_intervals(frame: pd.DataFrame, dataset: str, baseline: str) -> Figure:
    """Plot the differences from the run `baseline` (`intervals_frame`), a row per run.

    The first MAX_PANELS columns have a panel each. A filled point is significantly better, and an
    arrowhead stands for an end of an interval outside the panel.
    """
    columns = list(frame["column"].unique())[:MAX_PANELS]
    runs = list(frame["run"].unique())
    across = max(1, min(len(columns), PANELS_PER_LINE))
    lines = max(1, -(-len(columns) // across))
    size = (ONE_COLUMN if across == 1 else TWO_COLUMNS, lines * (0.16 * len(runs) + 0.65) + 0.25)
    figure, grid = plt.subplots(lines, across, figsize=size, squeeze=False, sharey=True)
    for axes, column in zip(grid.flat, columns, strict=False):
        rows = frame[frame["column"] == column].set_index("run").reindex(runs)
        _plot_panel(axes, rows)
        axes.set_title(escape_label(column))
        axes.set_xlabel(DIRECTIONS[_direction(rows)], fontsize=7)
    for axes in grid.flat[max(1, len(columns)) :]:
        axes.set_visible(False)
    axes = grid[0, 0]
    axes.set_yticks(range(len(runs)), [escape_label(run) for run in runs])
    axes.set_ylim(len(runs) - 0.4, -0.6)
    interval = f"difference from {escape_label(baseline)}, {CONFIDENCE * 100:.0f} % interval"
    figure.suptitle(short_title(dataset, interval))
    if not frame["difference"].notna().any():
        add_note(axes, f"no run to compare with {escape_label(baseline)}")
    return figure


def _direction(rows: pd.DataFrame) -> bool | None:
    """Return whether higher is better in a panel, None if neither is."""
    known = rows["higher_is_better"].dropna()
    return bool(known.iloc[0]) if len(known) else None


def _plot_panel(axes: Axes, rows: pd.DataFrame) -> None:
    """Plot a column's differences, by run."""
    axes.axvline(0, color="black", linewidth=0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    left, right = _limits(rows)
    axes.set_xlim(left, right)
    numbers = rows[["difference", "low", "high"]].to_numpy(float)
    for y, ((difference, low, high), better) in enumerate(
        zip(numbers, rows["better"].eq(True), strict=True)
    ):
        colour, face = (COLOURS[0], COLOURS[0]) if better else (GREY, "white")
        width = 1.6 if better else 0.9
        axes.plot([low, high], [y, y], color=colour, linewidth=width)
        axes.plot(difference, y, "o", color=colour, markerfacecolor=face, markersize=3.5)
        for end, marker in ((low, "<"), (high, ">")):
            if not left <= end <= right and end == end:
                x = min(max(end, left), right)
                axes.plot(x, y, marker, color=colour, markersize=3, clip_on=False)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of a panel's axis: 0 and all intervals are in it, up to MAX_EXTENT."""
    values = rows[["difference", "low", "high"]].to_numpy(float)
    values = values[np.isfinite(values)]
    extent = MAX_EXTENT * rows["difference"].abs().max()
    left, right = max(min(values, default=0.0), -extent), min(max(values, default=0.0), extent)
    left, right = min(left, 0.0), max(right, 0.0)
    margin = 0.06 * (right - left) or 1.0
    return left - margin, right + margin
