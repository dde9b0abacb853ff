"""The linear probe's heat maps over levels and layers."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

ACROSS = 3  # heat maps in a line
WRITTEN = 12  # layers of a heat map up to which its cells say their numbers


def heat_maps(rows: pd.DataFrame, title: str) -> Figure:
    """A heat map for each run: its mean accuracy over seeds by level and layer.

    A frame marks what was chosen, for each seed. The rows are one data set's over all classes.
    """
    runs = list(rows["run"].unique())
    layers, levels = rows["layer"].nunique(), rows["level"].nunique()
    across = min(len(runs), ACROSS)
    down = -(-len(runs) // across)
    size = (across * max(0.42 * layers + 0.9, 2.2) + 0.7, down * max(0.3 * levels + 0.7, 1.2) + 0.3)
    figure, grid = plt.subplots(down, across, figsize=size, squeeze=False)
    means = 100 * rows.groupby(["run", "level", "layer"])["accuracy"].mean()
    reach = float(means.min()), float(means.max())
    for axes, run in zip(grid.flat, runs, strict=False):
        drawn = _heat_map(axes, rows[rows["run"] == run], reach)
        axes.set_title(run)
    for axes in grid.flat[len(runs) :]:
        axes.set_visible(False)
    figure.colorbar(drawn, ax=grid, label="accuracy, %")
    figure.suptitle(title, fontsize="medium")
    return figure


def _heat_map(axes: Axes, rows: pd.DataFrame, reach: tuple[float, float]) -> AxesImage:
    table = 100 * rows.groupby(["level", "layer"])["accuracy"].mean().unstack()
    levels, layers, shown = list(table.index), list(table.columns), table.to_numpy()
    sigmas = rows.groupby("level")["sigma"].first()
    drawn = axes.imshow(shown, cmap="viridis", aspect="auto", vmin=reach[0], vmax=reach[1])
    axes.set_yticks(range(len(levels)), [f"{level} ({sigmas[level]:.2g})" for level in levels])
    axes.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    axes.set(xlabel="layer out_k", ylabel="level (sigma)")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for (y, x), value in np.ndenumerate(shown) if len(layers) <= WRITTEN else ():
        colour = "white" if value < sum(reach) / 2 else "black"
        axes.text(x, y, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=7)
    best = rows[rows["chosen"]]
    for level, layer in zip(best["level"], best["layer"], strict=True):
        corner = layers.index(layer) - 0.46, levels.index(level) - 0.46
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="#d55e00", linewidth=2))
    return drawn
