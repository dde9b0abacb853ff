"""Points as scatter plots of their first two coordinates, where others have sheets of images."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

MOST_POINTS = 1000  # shown of each class
PLOTS = 4  # in a line


def scatter(sets: dict[str, tuple[np.ndarray, np.ndarray]], names: list[str]) -> Figure:
    """Plots side by side, four in a line, a colour for each class, as far as the first set reaches.

    Sets are points (N, d, 1, 1), d at least 2, and labels by the plot's title.
    """
    across = min(len(sets), PLOTS)
    down = -(-len(sets) // across)
    size = (2.6 * across + 0.4, 2.7 * down + 0.7)
    figure, grid = plt.subplots(down, across, figsize=size, squeeze=False, sharex=True, sharey=True)
    reach = 1.2 * np.abs(next(iter(sets.values()))[0][:, :2]).max()
    for axes, (title, (where, labels)) in zip(grid.flat, sets.items(), strict=False):
        for label, name in enumerate(names):
            x, y = where[labels == label][:MOST_POINTS, :2, 0, 0].T
            axes.scatter(x, y, s=3, linewidths=0, alpha=0.6, label=name)
        axes.set(title=title, aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    for axes in grid.flat[len(sets) :]:
        axes.set_visible(False)
    handles, shown = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, shown, loc="outside lower center", ncols=len(names), markerscale=3)
    return figure
