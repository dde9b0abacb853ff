"""Scatter plots of points, by their first two coordinates, in place of sheets of images."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import PICTURE_DPI, add_legend

MAX_POINTS = 1000  # per class
PLOTS_PER_LINE = 4


def plot_points(sets: dict[str, tuple[np.ndarray, np.ndarray]], names: list[str]) -> Figure:
    """Plot each set side by side, a colour per class, with axis limits from the first set.

    `sets` are points (N, d, 1, 1), d >= 2, and labels (N,) by the plot's title; `names` are those
    of the classes. Points without labels (-1) are grey.
    """
    columns = min(len(sets), PLOTS_PER_LINE)
    lines = -(-len(sets) // columns)
    size = (2.6 * columns + 0.4, 2.7 * lines + 0.7)
    figure, grid = plt.subplots(
        lines, columns, figsize=size, squeeze=False, sharex=True, sharey=True, dpi=PICTURE_DPI
    )
    limit = 1.2 * np.abs(next(iter(sets.values()))[0][:, :2]).max()
    for axes, (title, (points, labels)) in zip(grid.flat, sets.items(), strict=False):
        for label, name in enumerate(names):
            x, y = points[labels == label][:MAX_POINTS, :2, 0, 0].T
            axes.scatter(x, y, s=3, linewidths=0, alpha=0.6, label=escape_label(name))
        x, y = points[labels < 0][:MAX_POINTS, :2, 0, 0].T
        axes.scatter(x, y, s=3, linewidths=0, alpha=0.6, color="#888888")
        axes.set(
            title=escape_label(title), aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit)
        )
    for axes in grid.flat[len(sets) :]:
        axes.set_visible(False)
    handles, texts = grid[0][0].get_legend_handles_labels()
    add_legend(figure, handles, texts, markerscale=3)
    return figure
