"""Points in the plane as scatter plots, where other data sets have sheets of images."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

MOST_POINTS = 1000  # shown of each class


def scatter(sets: dict[str, tuple[np.ndarray, np.ndarray]], names: list[str]) -> Figure:
    """Scatter plots side by side, a colour for each class, as far as the first set reaches.

    Args:
        sets: Points (N, 2, 1, 1) and labels by the plot's title.
        names: The classes' names.
    """
    size = (2.6 * len(sets) + 0.4, 3.0)
    figure, grid = plt.subplots(1, len(sets), figsize=size, squeeze=False, sharex=True, sharey=True)
    reach = 1.2 * np.abs(next(iter(sets.values()))[0]).max()
    for axes, (title, (where, labels)) in zip(grid[0], sets.items(), strict=True):
        for label, name in enumerate(names):
            x, y = where[labels == label][:MOST_POINTS, :2, 0, 0].T
            axes.scatter(x, y, s=3, linewidths=0, alpha=0.6, label=name)
        axes.set(title=title, aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    handles, shown = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, shown, loc="outside lower center", ncols=len(names), markerscale=3)
    return figure
