"""Figures of a data set: class counts, a metric per class, training loss."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltdm.reporting.escapes import escape_label


def plot_class_counts(table: pd.DataFrame, title: str) -> Figure:
    """Plot training images per class (from counts.csv), in front of those of the source."""
    figure, axes = plt.subplots(figsize=(5, 2.8))
    axes.bar(table["class"], table["available"], color="#d9d9d9", label="balanced reference")
    bars = axes.bar(table["class"], table["train"], label="long-tailed training set")
    if len(table) <= 20:
        axes.bar_label(bars, fontsize=7)
        axes.set_xticks(table["class"])
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="class", ylabel="images", title=f"{title}: {table['train'].sum()} images")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def plot_per_class(rows: pd.DataFrame, table: pd.DataFrame, title: str) -> Figure:
    """Plot a metric by class, a line per run, most frequent class first.

    A band is one standard deviation over seeds; with one seed, the standard error over images. A
    dotted line is the metric's baseline, if there is one. `rows` are tidy, of one metric and
    extractor and of groups `class-<k>`; `table` is counts.csv of the data set.
    """
    order = table.sort_values("train", ascending=False, kind="stable")
    values = _add_labels(rows)
    figure, axes = plt.subplots(figsize=(6, 3.4))
    positions = np.arange(len(order))
    for run, run_rows in values.groupby("run", sort=False):
        grouped = run_rows.groupby("label")
        by_class = grouped["value"].agg(["mean", "std"]).loc[order["class"]]
        deviation = by_class["std"].fillna(grouped["error"].first()).fillna(0)
        name = escape_label(run)
        (line,) = axes.plot(positions, by_class["mean"], marker="o", markersize=3, label=name)
        low, high = by_class["mean"] - deviation, by_class["mean"] + deviation
        axes.fill_between(positions, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    if rows["baseline"].notna().any():
        baseline = values.groupby("label")["baseline"].first().reindex(order["class"])
        axes.plot(positions, baseline, color="#888888", linestyle=":", label="unseen real images")
    if len(order) <= 20:
        pairs = zip(order["class"], order["train"], strict=True)
        axes.set_xticks(positions, [f"{c}\n({n})" for c, n in pairs])
        axes.set_xlabel("class (training images)")
    else:
        axes.set_xlabel("classes, most frequent first")
    axes.set_title(title)
    if not (values["value"] < 0).any():
        axes.set_ylim(bottom=0)
    _legend(figure, axes, "there are no values by class")
    return figure


def _add_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of groups `class-<k>` with a column `label`, k."""
    return rows.assign(label=rows["group"].str.removeprefix("class-").astype(int))


def plot_training_loss(histories: pd.DataFrame, title: str) -> Figure:
    """Plot the denoising loss by training step, a mean over seeds; imported runs have none."""
    figure, axes = plt.subplots(figsize=(5.4, 3.2))
    for run, run_rows in histories.groupby("run", sort=False):
        mean = run_rows.groupby("step")["denoise"].mean()
        axes.plot(mean.index, mean, linewidth=1, label=escape_label(run))
    axes.set(xlabel="training step", ylabel="denoising loss", title=title, yscale="log")
    _legend(figure, axes, "no network was trained")
    return figure


def _legend(figure: Figure, axes: Axes, if_empty: str) -> None:
    """Add a legend, in the axes for up to four lines, else beside them; without lines, a note."""
    if not axes.get_lines():
        axes.text(0.5, 0.5, if_empty, ha="center", transform=axes.transAxes)
    elif len(axes.get_lines()) <= 4:
        axes.legend()
    else:
        figure.legend(loc="outside right upper")
