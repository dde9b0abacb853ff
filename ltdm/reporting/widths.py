"""Figure of a metric by the width of the post-hoc EMA that images were sampled with."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import COLOURS

PANEL_GROUPS = ("all", "head", "tail")
EMA_PREFIX = "posthoc-"  # of `weights` in rows of images from a post-hoc EMA; its width follows
LINE_KEYS = ["run", "sampler", "guidance"]
"""Columns that identify a line: sample sets that differ only in the width."""
MARKERS = "osD^"  # of lines; the next one when the colours repeat


def plot_by_width(rows: pd.DataFrame, name: str, title: str) -> Figure:
    """Plot a metric by width, a line per run, in panels for all classes, the head and the tail.

    A band is one standard deviation over seeds; with one seed, the standard error over images. A
    dashed line is the run's own EMA, if it was sampled with the same settings. The rows are tidy,
    of one data set, metric and extractor.
    """
    rows = rows[rows["value"].notna()]
    lines = rows[rows["weights"].str.startswith(EMA_PREFIX)]
    lines = lines.assign(width=lines["weights"].str.removeprefix(EMA_PREFIX).astype(float))
    own = rows[(rows["weights"] == "ema") & rows["group"].isin(lines["group"])]
    panels = [group for group in PANEL_GROUPS if group in {*lines["group"]}] or ["all"]
    labels = _line_labels(lines)
    size = (2.6 * len(panels) + 1.4, 2.9)
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, group in zip(grid[0], panels, strict=True):
        _plot_panel(axes, lines[lines["group"] == group], own[own["group"] == group], labels)
        axes.set(title=f"{title}, {group}", xlabel="width of the average")
    grid[0][0].set_ylabel(name)
    if len(own):
        grid[0][0].plot([], [], "--", color="#888888", linewidth=1, label="its own average")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _line_labels(lines: pd.DataFrame) -> dict[tuple, str]:
    """Return each line's label: its run, and the settings that differ between the run's lines."""
    labels: dict[tuple, str] = {}
    for run, run_lines in lines[LINE_KEYS].drop_duplicates().groupby("run", sort=False):
        varying = [column for column in LINE_KEYS[1:] if run_lines[column].nunique() > 1]
        for line in run_lines.itertuples(index=False):
            settings = [f"{column} {getattr(line, column)}" for column in varying]
            labels[tuple(line)] = ", ".join([escape_label(run), *settings])
    return labels


def _plot_panel(
    axes: Axes, lines: pd.DataFrame, own: pd.DataFrame, labels: dict[tuple, str]
) -> None:
    for number, (key, label) in enumerate(labels.items()):
        grouped = _rows_of_line(lines, key).groupby("width")
        means = grouped["value"].mean()
        deviation = grouped["value"].std().fillna(grouped["error"].mean()).fillna(0)
        cycle, hue = divmod(number, len(COLOURS))
        colour, marker = COLOURS[hue], MARKERS[cycle % len(MARKERS)]
        axes.plot(means.index, means, f"{marker}-", color=colour, markersize=3, label=label)
        low, high = means - deviation, means + deviation
        axes.fill_between(means.index, low, high, color=colour, alpha=0.15, linewidth=0)
        own_values = _rows_of_line(own, key)["value"]
        if len(own_values):
            axes.axhline(own_values.mean(), color=colour, linestyle="--", linewidth=1)
    ticks = sorted({*lines["width"]})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{width:g}" for width in ticks])
    axes.minorticks_off()


def _rows_of_line(rows: pd.DataFrame, key: tuple) -> pd.DataFrame:
    """Return the rows with these values of LINE_KEYS."""
    return rows[(rows[LINE_KEYS] == list(key)).all(axis=1)]
