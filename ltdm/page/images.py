"""Pictures of results inside the page, as data of their `<img>` elements."""

import base64
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ltdm.reporting.pictures import GAP_PIXELS, ROWS, evenly_spaced

MAX_ROWS = 20  # of a sheet; a file has up to 100
QUALITY = 85  # of WebP, which is a tenth of the PNG


class Picture(NamedTuple):
    """A picture, in pixels, and the names of its rows if it is a sheet of samples."""

    source: str  # a data URL
    width: int
    height: int
    rows: list[str]


def read_sheet(path: Path) -> Picture:
    """Return a sheet of samples (stages/sample_sheet.py) with at most MAX_ROWS of its rows."""
    with Image.open(path) as image:
        names = json.loads(image.info.get(ROWS, "[]"))
        pixels = np.asarray(image)
    if names:
        height = (len(pixels) + GAP_PIXELS) // len(names)
        chosen = evenly_spaced(len(names), MAX_ROWS)
        padded = np.pad(pixels, ((0, GAP_PIXELS), *((0, 0),) * (pixels.ndim - 1)))
        rows = padded.reshape(len(names), height, *pixels.shape[1:])[chosen]
        pixels = rows.reshape(-1, *pixels.shape[1:])[:-GAP_PIXELS]
        names = [names[i] for i in chosen]
    return _encode(Image.fromarray(pixels), names)


def read_picture(path: Path) -> Picture:
    """Return a figure, a PNG, without loss."""
    with Image.open(path) as image:
        return _encode(image, [], lossless=True)


def _encode(image: Image.Image, rows: list[str], lossless: bool = False) -> Picture:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "webp", quality=QUALITY, lossless=lossless)
    text = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/webp;base64,{text}", image.width, image.height, rows)
