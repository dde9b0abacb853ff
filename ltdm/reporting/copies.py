"""Figures of generated images beside the training images that they may be copies of."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltdm.reporting.pictures import image_grid
from ltdm.reporting.style import PICTURE_DPI, add_legend

PANEL_ROWS = 8  # generated images in a panel
PANEL_COLUMNS = 5  # training images beside each generated image
GAP_PIXELS = 12  # of the picture, between generated and training images
PANEL_POINTS = 50  # pairs of points in a panel


class Panel(NamedTuple):
    """Generated images of some classes."""

    title: str
    rows: np.ndarray  # row numbers, the likeliest copies first


class Pairs(NamedTuple):
    """Generated images and their nearest training images."""

    images: np.ndarray  # generated, shape (N, C, H, W)
    train: np.ndarray  # shape (M, C, H, W)
    nearest: np.ndarray  # row numbers of the nearest training images, nearest first, shape (N, n)
    mirrored: np.ndarray  # whether the mirror image is the nearer one, shape (N, n)
    ratios: np.ndarray  # r of each generated image (metrics/memorization.py), shape (N,)


def likeliest_copies(
    ratios: np.ndarray, labels: np.ndarray, panels: Mapping[str, Sequence[int]], max_rows: int
) -> list[Panel]:
    """Return each panel's generated images with the smallest ratios, smallest first.

    `panels` are classes by title. Without any, or if no image is of these classes, there is one
    panel of all images.
    """
    order = np.argsort(ratios, kind="stable")
    members = {title: np.isin(labels[order], classes) for title, classes in panels.items()}
    chosen = [Panel(title, order[mask][:max_rows]) for title, mask in members.items() if mask.any()]
    return chosen or [Panel("all", order[:max_rows])]


def plot_images(pairs: Pairs, panels: list[Panel]) -> Figure:
    """Plot panels side by side; a row is a generated image, then its nearest training images.

    Training images whose mirror image is nearer are shown mirrored.
    """
    columns = min(PANEL_COLUMNS, pairs.nearest.shape[1])
    height = 0.42 * max(len(panel.rows) for panel in panels) + 0.7
    size = (len(panels) * (0.42 * (columns + 1) + 0.75), max(height, 1.5))
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False, dpi=PICTURE_DPI)
    for axes, panel in zip(grid[0], panels, strict=True):
        _plot_panel(axes, pairs, panel, columns)
    return figure


def _plot_panel(axes: Axes, pairs: Pairs, panel: Panel, columns: int) -> None:
    """Plot a panel with `columns` training images beside each generated one."""
    nearest = pairs.train[pairs.nearest[panel.rows, :columns]]
    mirrored = pairs.mirrored[panel.rows, :columns]
    nearest[mirrored] = nearest[mirrored][..., ::-1]
    tiles = np.concatenate([pairs.images[panel.rows, None], nearest], axis=1)
    rows, per_row = len(panel.rows), columns + 1
    tile_rows = np.repeat(np.arange(rows), per_row)
    picture = image_grid(tiles.reshape(-1, *tiles.shape[2:]), tile_rows, list(range(rows)), per_row)
    height, width = (picture.shape[0] + 2) / rows, (picture.shape[1] + 2) // per_row
    picture = np.insert(picture, [width] * GAP_PIXELS, 255, axis=1)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(panel.title)
    row_centres = (np.arange(rows) + 0.5) * height - 1
    axes.set_yticks(row_centres, [f"r = {r:.2g}" for r in pairs.ratios[panel.rows]])
    train_centre = width + GAP_PIXELS + columns * width / 2
    axes.set_xticks([width / 2, train_centre], ["generated", "nearest in training"])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def plot_points(pairs: Pairs, panels: list[Panel]) -> Figure:
    """Plot panels side by side: generated points, each linked to its nearest training point."""
    size = (2.8 * len(panels) + 0.4, 3.2)
    figure, grid = plt.subplots(
        1, len(panels), figsize=size, squeeze=False, sharex=True, sharey=True, dpi=PICTURE_DPI
    )
    train = pairs.train[:, :2, 0, 0]
    for axes, panel in zip(grid[0], panels, strict=True):
        generated = pairs.images[panel.rows, :2, 0, 0]
        links = np.stack([generated, train[pairs.nearest[panel.rows, 0]]])
        axes.scatter(*train.T, s=2, color="#d9d9d9", label="training")
        axes.plot(*links.transpose(2, 0, 1), "-", color="#d55e00", linewidth=0.6)
        axes.scatter(*generated.T, s=4, label="generated, linked to the nearest")
        axes.set(title=panel.title, aspect="equal")
    add_legend(figure, *grid[0][0].get_legend_handles_labels())
    return figure
