"""Sheets of real and generated images of a data set, side by side."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.pictures import head_to_tail, image_grid
from ltdm.reporting.style import PICTURE_DPI

IMAGES_PER_CLASS = 8
SHEETS_PER_LINE = 4
MAX_CLASSES = 20  # more would be too small to see


def plot_samples(sets: dict[str, tuple[np.ndarray, np.ndarray]], table: pd.DataFrame) -> Figure:
    """Plot sheets of images side by side, a row per class, most frequent class first.

    `sets` are uint8 images (N, C, H, W) and labels (N,) by the sheet's title; `table` is
    counts.csv. Of more than MAX_CLASSES classes, MAX_CLASSES evenly spaced ones are shown. Images
    without labels (-1) fill the rows in their order, and the title says so.
    """
    classes = head_to_tail(table, MAX_CLASSES)
    sheets = {}
    for title, (images, labels) in sets.items():
        if unlabelled := bool((labels < 0).all()):
            images = images[: len(classes) * IMAGES_PER_CLASS]
            labels = classes["class"].to_numpy().repeat(IMAGES_PER_CLASS)[: len(images)]
        picture = image_grid(images, labels, classes["class"].tolist(), IMAGES_PER_CLASS)
        sheets[f"{title}, no labels" if unlabelled else title] = picture
    height, width = next(iter(sheets.values())).shape[:2]
    inches = 0.22 * len(classes)
    columns = min(len(sheets), SHEETS_PER_LINE)
    lines = -(-len(sheets) // columns)
    size = (columns * (inches * width / height + 0.15) + 0.9, lines * (inches + 0.4))
    figure, grid = plt.subplots(lines, columns, figsize=size, squeeze=False, dpi=PICTURE_DPI)
    ticks = (np.arange(len(classes)) + 0.5) * height / len(classes)
    named_counts = zip(map(escape_label, classes["name"]), classes["train"], strict=True)
    names = [f"{name} ({n})" for name, n in named_counts]
    for axes, (title, picture) in zip(grid.flat, sheets.items(), strict=False):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(escape_label(title))
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    for axes in grid[:, 0]:
        axes.set_yticks(ticks, names)
        axes.tick_params(length=0)
        axes.set_ylabel("class (training images)")
    return figure
