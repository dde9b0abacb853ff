"""Heat maps of the linear probe's accuracy over noise levels and layers."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import COLOURS, ONE_COLUMN, SMALL, TWO_COLUMNS, add_note, short_title

FEW_MAPS, FEW_PER_LINE, MANY_PER_LINE = 9, 3, 5  # maps in a figure, and in a line of it
MAX_LABELLED_LAYERS = 7  # with more layers, the cells of a heat map have no numbers


def plot_heat_maps(frame: pd.DataFrame, dataset: str) -> Figure:
    """Plot a heat map per run: accuracy in per cent, by noise level and layer (`probe_frame`).

    A frame marks each level and layer that was chosen for some seed. Levels have their
    noise-to-signal ratio, which differs between diffusion processes.
    """
    runs = list(frame["run"].unique())
    columns = max(1, min(len(runs), FEW_PER_LINE if len(runs) <= FEW_MAPS else MANY_PER_LINE))
    lines = max(1, -(-len(runs) // columns))
    width = ONE_COLUMN if columns == 1 else TWO_COLUMNS
    height = lines * max(0.14 * frame["level"].nunique() + 0.5, 0.95) + 0.85
    one_axis = bool((frame.groupby("level")["sigma"].nunique() == 1).all())
    figure, grid = plt.subplots(
        lines, columns, figsize=(width, height), squeeze=False, sharex=True, sharey=one_axis
    )
    limits = 100 * frame["accuracy"].min(), 100 * frame["accuracy"].max()
    layers = sorted(frame["layer"].unique())
    for axes, run in zip(grid.flat, runs, strict=False):
        image = _plot_heat_map(axes, frame[frame["run"] == run], layers, limits)
        axes.set_title(escape_label(run))
    for axes in grid.flat[max(1, len(runs)) :]:
        axes.set_visible(False)
    figure.supylabel("level (sigma)", fontsize="medium")
    for axes in grid.flat[max(0, len(runs) - columns) : len(runs)]:  # the lowest of each column
        axes.set_xlabel("layer out_k")
        axes.tick_params(labelbottom=True)
    if runs:
        look: dict[str, Any] = {"location": "bottom", "shrink": 0.6, "aspect": 40, "pad": 0.04}
        figure.colorbar(image, ax=grid, label="accuracy, %", **look)
    else:
        add_note(grid[0, 0], "no network was probed")
    figure.suptitle(short_title(dataset, "linear probe"))
    return figure


def _plot_heat_map(
    axes: Axes, frame: pd.DataFrame, layers: list[int], limits: tuple[float, float]
) -> AxesImage:
    table = 100 * frame.pivot(index="level", columns="layer", values="accuracy")
    levels, accuracies = list(table.index), table.reindex(columns=layers).to_numpy()
    sigmas = frame.groupby("level")["sigma"].first()
    image = axes.imshow(accuracies, cmap="viridis", aspect="auto", vmin=limits[0], vmax=limits[1])
    axes.set_yticks(range(len(levels)), [f"{level} ({sigmas[level]:.2g})" for level in levels])
    axes.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    if len(layers) <= MAX_LABELLED_LAYERS:
        for y, x in np.argwhere(np.isfinite(accuracies)):
            value = accuracies[y, x]
            colour = "white" if value < sum(limits) / 2 else "black"
            axes.text(x, y, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=SMALL)
    best = frame[frame["chosen"] > 0]
    for level, layer in zip(best["level"], best["layer"], strict=True):
        corner = layers.index(layer) - 0.46, levels.index(level) - 0.46
        border = Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=COLOURS[1], linewidth=1.5)
        axes.add_patch(border)
    return image
