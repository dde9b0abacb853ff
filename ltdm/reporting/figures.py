"""Figures of a data set: class counts, a metric per class, training loss."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import (
    GREY,
    ONE_COLUMN,
    SMALL,
    add_legend,
    add_note,
    fill_band,
    short_title,
)

MAX_NAMED_CLASSES = 12  # on the axis of classes
MAX_MARKERS = 12  # per line
Looks = dict[str, dict[str, Any]]
"""Colour, line style and marker by run; see `style.line_looks`."""


def plot_class_counts(frame: pd.DataFrame, dataset: str) -> Figure:
    """Plot training images per class (`counts_frame`), in front of those of the source."""
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 1.9))
    axes.bar(frame["class"], frame["available"], color="#d9d9d9", label="balanced reference")
    bars = axes.bar(frame["class"], frame["train"], label="long-tailed training set")
    if len(frame) <= MAX_NAMED_CLASSES:
        axes.bar_label(bars, fontsize=SMALL)
        axes.set_xticks(frame["class"])
    axes.grid(axis="x", visible=False)
    title = short_title(dataset, f"{frame['train'].sum():,} training images")
    axes.set(xlabel="class", ylabel="images", title=title)
    add_legend(figure, *axes.get_legend_handles_labels())
    return figure


def plot_per_class(frame: pd.DataFrame, dataset: str, looks: Looks) -> Figure:
    """Plot a metric by class (`per_class_frame`), a line per run, most frequent class first.

    A dotted line is the metric's baseline, if there is one.
    """
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 2.2))
    stride = -(-frame["class"].nunique() // MAX_MARKERS)
    for run in frame["run"].unique():
        rows = frame[frame["run"] == run]
        positions = np.arange(len(rows))
        look = {**looks[run], "markevery": stride if stride > 1 else None}
        (line,) = axes.plot(positions, rows["value"], label=escape_label(run), **look)
        fill_band(axes, line, rows["low"], rows["high"])
    first = frame[frame["run"].eq(frame["run"].iloc[0])] if len(frame) else frame
    baseline = frame.groupby("class", sort=False)["baseline"].first()
    if baseline.notna().any():
        axes.plot(
            range(len(first)), baseline, color=GREY, linestyle=":", label="unseen real images"
        )
    if 0 < len(first) <= MAX_NAMED_CLASSES:
        pairs = zip(first["class"], first["train"], strict=True)
        axes.set_xticks(range(len(first)), [f"{c}\n({n})" for c, n in pairs], fontsize=SMALL)
        axes.set_xlabel("class (training images)")
    else:
        axes.set_xlabel("classes, most frequent first")
    axes.set(title=escape_label(dataset), ylabel="".join(frame["metric"].unique()))
    if not (frame["value"] < 0).any():
        axes.set_ylim(bottom=0)
    _finish(figure, "there are no values by class")
    return figure


def plot_training_loss(frame: pd.DataFrame, dataset: str, looks: Looks) -> Figure:
    """Plot the denoising loss by training step (`training_frame`), a line per run."""
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 2.0))
    for run in frame["run"].unique():
        rows = frame[frame["run"] == run]
        look = {**looks[run], "markevery": max(1, len(rows) // MAX_MARKERS)}
        (line,) = axes.plot(rows["step"], rows["value"], label=escape_label(run), **look)
        fill_band(axes, line, rows["low"], rows["high"])
    title = escape_label(dataset)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set(xlabel="training step", ylabel="denoising loss", title=title, yscale="log")
    _finish(figure, "no network was trained")
    return figure


def _finish(figure: Figure, if_empty: str) -> None:
    """Add the legend of the only axes, or a note if they have no line."""
    (axes,) = figure.axes
    if axes.get_lines():
        add_legend(figure, *axes.get_legend_handles_labels())
    else:
        add_note(axes, if_empty)
