"""Grids of images, a row per class."""

import numpy as np
import pandas as pd
from PIL import Image

TILE_PIXELS = 32  # small images are enlarged by an integer factor, to at most this height
GAP_PIXELS = 2  # between images
ROWS = "rows"  # the PNG text of a sheet that names its rows


def head_to_tail(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return rows of counts.csv, most frequent class first; of more than `number`, evenly spaced.

    The first and the last are among them.
    """
    order = table.sort_values("train", ascending=False, kind="stable")
    return order.iloc[evenly_spaced(len(order), number)]


def evenly_spaced(length: int, number: int) -> np.ndarray:
    """Return at most `number` evenly spaced positions in 0..length - 1, the ends among them."""
    return np.linspace(0, length - 1, min(length, number)).round().astype(int)


def image_grid(
    images: np.ndarray, labels: np.ndarray, classes: list[int], columns: int
) -> np.ndarray:
    """Return one picture of images (N, C, H, W), uint8; the picture is (H, W) or (H, W, 3).

    `classes` are in order from the top; a row has the first images of its class, and white space if
    there are fewer than `columns`.
    """
    _, channels, height, width = images.shape
    zoom, gap = max(1, TILE_PIXELS // height), GAP_PIXELS
    step_y, step_x = height * zoom + gap, width * zoom + gap
    picture = np.full(
        (len(classes) * step_y - gap, columns * step_x - gap, channels), 255, np.uint8
    )
    for row, c in enumerate(classes):
        for column, image in enumerate(images[labels == c][:columns]):
            tile = image.transpose(1, 2, 0).repeat(zoom, axis=0).repeat(zoom, axis=1)
            y, x = row * step_y, column * step_x
            picture[y : y + height * zoom, x : x + width * zoom] = tile
    return picture[..., 0] if channels == 1 else picture


def to_png(picture: np.ndarray) -> Image.Image:
    """Return a picture as a PIL image."""
    return Image.fromarray(picture)
