"""Generated images beside the training images that they may be copies of."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltdm.reporting.pictures import image_grid

PANEL_ROWS = 8  # generated images of a panel
PANEL_COLUMNS = 5  # training images beside each
GAP_PIXELS = 12  # pixels of the picture between the two
PANEL_POINTS = 50  # pairs of points in a panel


class Panel(NamedTuple):
    """Generated images of some classes: their numbers, the likeliest copies first."""

    title: str
    rows: np.ndarray


class Pairs(NamedTuple):
    """Generated images and what lies nearest to them, for one figure."""

    images: np.ndarray  # generated ones, (N, C, H, W)
    train: np.ndarray  # (M, C, H, W)
    nearest: np.ndarray  # numbers of the nearest training images, the nearest first, (N, n)
    mirrored: np.ndarray  # whether each is so near as its mirror image, (N, n)
    ratios: np.ndarray  # r of each generated image, (N,)


def likeliest_copies(
    ratios: np.ndarray, labels: np.ndarray, parts: Mapping[str, Sequence[int]], max_rows: int
) -> list[Panel]:
    """Return a panel for each part: its generated images of the smallest ratios, those first.

    Parts are classes by title; without any there is one panel of all images, whatever their labels.
    """
    order = np.argsort(ratios, kind="stable")
    members = {title: np.isin(labels[order], classes) for title, classes in parts.items()}
    panels = [Panel(name, order[i][:max_rows]) for name, i in members.items() if i.any()]
    return panels or [Panel("all", order[:max_rows])]


def plot_images(pairs: Pairs, panels: list[Panel]) -> Figure:
    """Panels side by side: each row is a generated image, then the training images nearest to it.

    Mirrored ones are shown mirrored.
    """
    columns = min(PANEL_COLUMNS, pairs.nearest.shape[1])
    height = 0.42 * max(len(panel.rows) for panel in panels) + 0.7
    size = (len(panels) * (0.42 * (columns + 1) + 0.75), max(height, 1.5))
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, panel in zip(grid[0], panels, strict=True):
        _panel(axes, pairs, panel, columns)
    return figure


def _panel(axes: Axes, pairs: Pairs, panel: Panel, columns: int) -> None:
    near = pairs.train[pairs.nearest[panel.rows, :columns]]
    flipped = pairs.mirrored[panel.rows, :columns]
    near[flipped] = near[flipped][..., ::-1]
    tiles = np.concatenate([pairs.images[panel.rows, None], near], axis=1)
    rows, tiles_per_row = len(panel.rows), columns + 1
    labels = np.repeat(np.arange(rows), tiles_per_row)
    picture = image_grid(
        tiles.reshape(-1, *tiles.shape[2:]), labels, list(range(rows)), tiles_per_row
    )
    height, width = (picture.shape[0] + 2) / rows, (picture.shape[1] + 2) // tiles_per_row
    picture = np.insert(picture, [width] * GAP_PIXELS, 255, axis=1)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(panel.title)
    row_centres = (np.arange(rows) + 0.5) * height - 1
    axes.set_yticks(row_centres, [f"r = {r:.2g}" for r in pairs.ratios[panel.rows]])
    nearest_centre = width + GAP_PIXELS + columns * width / 2
    axes.set_xticks([width / 2, nearest_centre], ["generated", "nearest in training"])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def plot_points(pairs: Pairs, panels: list[Panel]) -> Figure:
    """Panels side by side: generated points, each tied to the training point nearest to it."""
    size = (2.8 * len(panels) + 0.4, 3.2)
    figure, grid = plt.subplots(
        1, len(panels), figsize=size, squeeze=False, sharex=True, sharey=True
    )
    for axes, panel in zip(grid[0], panels, strict=True):
        generated = pairs.images[panel.rows, :2, 0, 0]
        near = pairs.train[pairs.nearest[panel.rows, 0], :2, 0, 0]
        axes.scatter(*pairs.train[:, :2, 0, 0].T, s=2, color="#d9d9d9", label="training")
        axes.plot(
            *np.stack([generated, near]).transpose(2, 0, 1), "-", color="#d55e00", linewidth=0.6
        )
        axes.scatter(*generated.T, s=4, label="generated, tied to the nearest")
        axes.set(title=panel.title, aspect="equal")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
