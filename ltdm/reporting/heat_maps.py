"""Heat maps of the linear probe's accuracy over noise levels and layers."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from ltdm.reporting.escapes import escape_label

MAPS_PER_LINE = 3
MAX_LABELLED_LAYERS = 12  # with more layers, the cells of a heat map have no numbers


def plot_heat_maps(rows: pd.DataFrame, title: str) -> Figure:
    """Plot a heat map per run: mean accuracy over seeds, in per cent, by noise level and layer.

    A frame marks each seed's chosen level and layer. The rows are one data set's over all classes.
    """
    runs = list(rows["run"].unique())
    layers, levels = rows["layer"].nunique(), rows["level"].nunique()
    columns = min(len(runs), MAPS_PER_LINE)
    lines = -(-len(runs) // columns)
    width = columns * max(0.42 * layers + 0.9, 2.2) + 0.7
    height = lines * max(0.3 * levels + 0.7, 1.2) + 0.3
    figure, grid = plt.subplots(lines, columns, figsize=(width, height), squeeze=False)
    means = 100 * rows.groupby(["run", "level", "layer"])["accuracy"].mean()
    limits = float(means.min()), float(means.max())
    for axes, run in zip(grid.flat, runs, strict=False):
        image = _plot_heat_map(axes, rows[rows["run"] == run], limits)
        axes.set_title(escape_label(run))
    for axes in grid.flat[len(runs) :]:
        axes.set_visible(False)
    figure.colorbar(image, ax=grid, label="accuracy, %")
    figure.suptitle(title, fontsize="medium")
    return figure


def _plot_heat_map(axes: Axes, rows: pd.DataFrame, limits: tuple[float, float]) -> AxesImage:
    table = 100 * rows.groupby(["level", "layer"])["accuracy"].mean().unstack()
    levels, layers, accuracies = list(table.index), list(table.columns), table.to_numpy()
    sigmas = rows.groupby("level")["sigma"].first()
    image = axes.imshow(accuracies, cmap="viridis", aspect="auto", vmin=limits[0], vmax=limits[1])
    axes.set_yticks(range(len(levels)), [f"{level} ({sigmas[level]:.2g})" for level in levels])
    axes.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    axes.set(xlabel="layer out_k", ylabel="level (sigma)")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    if len(layers) <= MAX_LABELLED_LAYERS:
        for (y, x), value in np.ndenumerate(accuracies):
            colour = "white" if value < sum(limits) / 2 else "black"
            axes.text(x, y, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=7)
    best = rows[rows["chosen"]]
    for level, layer in zip(best["level"], best["layer"], strict=True):
        corner = layers.index(layer) - 0.46, levels.index(level) - 0.46
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="#d55e00", linewidth=2))
    return image
