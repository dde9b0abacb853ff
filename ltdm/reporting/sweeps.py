"""Figures of a metric by a setting that sample sets sweep: guidance, or a post-hoc EMA's width."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import COLOURS

PANEL_GROUPS = ("all", "head", "tail")
EMA_PREFIX = "posthoc-"  # of `weights` in rows of images from a post-hoc EMA; its width follows
LINE_KEYS = {"width": ["run", "sampler", "guidance"], "guidance": ["run", "sampler", "weights"]}
"""Columns that identify a line, by setting: its sample sets differ only in the setting."""
AXIS_LABELS = {"width": "width of the average", "guidance": "weight of guidance"}
MARKS: dict[str, dict[str, Any]] = {
    "width": {"linestyle": "--", "linewidth": 1, "label": "its own average"},
    "guidance": {"linestyle": "", "marker": "*", "markersize": 10, "label": "chosen"},
}
"""How the marked values of lines look, by setting."""
MARKERS = "osD^"  # of lines; the next one when the colours repeat


def plot_by_width(rows: pd.DataFrame, name: str, title: str) -> Figure:
    """Plot a metric by the width of the post-hoc EMA, as `_plot_lines` does.

    A dashed line is the run's own EMA, if it was sampled with the same settings.
    """
    lines = rows[rows["weights"].str.startswith(EMA_PREFIX)]
    lines = lines.assign(width=lines["weights"].str.removeprefix(EMA_PREFIX).astype(float))
    return _plot_lines(lines, rows[rows["weights"] == "ema"], "width", name, title)


def plot_by_guidance(
    rows: pd.DataFrame, chosen: pd.DataFrame | None, name: str, title: str
) -> Figure:
    """Plot a metric by the weight of guidance, as `_plot_lines` does.

    A star is the run's chosen sample set. `chosen`, if any were chosen, holds their columns `run`
    and `sample_set`.
    """
    marked = rows[:0] if chosen is None else rows.merge(chosen.drop_duplicates())
    return _plot_lines(rows, marked, "guidance", name, title)


def _plot_lines(
    lines: pd.DataFrame, marked: pd.DataFrame, setting: str, name: str, title: str
) -> Figure:
    """Plot a metric by a setting, a line per run, in panels for all classes, head and tail.

    A band is one standard deviation over seeds; with one seed, the standard error over images. The
    rows are tidy, of one data set, metric and extractor, and those of `lines` have the setting.
    """
    lines, marked = (part[part["value"].notna()] for part in (lines, marked))
    panels = [group for group in PANEL_GROUPS if group in {*lines["group"]}] or ["all"]
    marked, labels = marked[marked["group"].isin(lines["group"])], _line_labels(lines, setting)
    longest = max(map(len, labels.values()), default=0)
    legend = (max(1.4, 0.6 + 0.07 * longest), 0.19 * (len(labels) + 3))  # in inches, about
    size = (2.6 * len(panels) + legend[0], max(2.9, legend[1]))
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, group in zip(grid[0], panels, strict=True):
        values, marks = (part[part["group"] == group] for part in (lines, marked))
        _plot_panel(axes, values, marks, setting, labels)
        axes.set(title=f"{title}, {group}", xlabel=AXIS_LABELS[setting])
    grid[0][0].set_ylabel(name)
    if len(marked):
        grid[0][0].plot([], [], color="#888888", **MARKS[setting])
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _line_labels(lines: pd.DataFrame, setting: str) -> dict[tuple, str]:
    """Return each line's label: its run, and the settings that differ between the run's lines."""
    labels: dict[tuple, str] = {}
    keys = LINE_KEYS[setting]
    for run, run_lines in lines[keys].drop_duplicates().groupby("run", sort=False):
        varying = [column for column in keys[1:] if run_lines[column].nunique() > 1]
        for line in run_lines.itertuples(index=False):
            settings = [f"{column} {getattr(line, column)}" for column in varying]
            labels[tuple(line)] = ", ".join([escape_label(run), *settings])
    return labels


def _plot_panel(
    axes: Axes, lines: pd.DataFrame, marked: pd.DataFrame, setting: str, labels: dict[tuple, str]
) -> None:
    for number, (key, label) in enumerate(labels.items()):
        line, mark = (_rows_of_line(part, setting, key) for part in (lines, marked))
        grouped = line.groupby([setting, "sample_set"])
        means = grouped["value"].mean()
        deviation = grouped["value"].std().fillna(grouped["error"].mean()).fillna(0)
        x = means.index.get_level_values(setting)
        cycle, hue = divmod(number, len(COLOURS))
        colour, marker = COLOURS[hue], MARKERS[cycle % len(MARKERS)]
        axes.plot(x, means, f"{marker}-", color=colour, markersize=3, label=label)
        low, high = means - deviation, means + deviation
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        if len(mark):
            look = {**MARKS[setting], "color": colour, "label": None}
            value = mark["value"].mean()
            if setting == "width":
                axes.axhline(value, **look)
            else:
                axes.plot(mark["guidance"].iloc[:1], [value], **look)
    if setting == "width":
        ticks = sorted({*lines["width"]})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{width:g}" for width in ticks])
        axes.minorticks_off()


def _rows_of_line(rows: pd.DataFrame, setting: str, key: tuple) -> pd.DataFrame:
    """Return the rows with these values of the setting's LINE_KEYS."""
    return rows[(rows[LINE_KEYS[setting]] == list(key)).all(axis=1)]
