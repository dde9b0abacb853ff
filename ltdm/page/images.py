"""Pictures of results inside the page, as data of their `<img>` elements."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ltdm.plumbing.files import explain_read_errors
from ltdm.reporting.pictures import GAP_PIXELS, ROWS, evenly_spaced

MAX_ROWS = 20  # of a sheet; a file has up to 100
MAX_ROW_HEIGHT = 66  # pixels, with the gap; larger images are shrunk
QUALITY = 85  # of WebP, which is a tenth of the PNG


class Picture(NamedTuple):
    """A picture, in pixels, and the names of its rows if it is a sheet of samples."""

    source: str  # a data URL
    width: int
    height: int
    rows: list[str]


def read_sheet(path: Path) -> Picture:
    """Return a sheet of samples (stages/sample_sheet.py) with at most MAX_ROWS of its rows.

    Raises:
        LtdmError: The file is damaged.
    """
    with _open(path) as image:
        names = json.loads(image.info.get(ROWS, "[]"))
        if not names:
            return _encode(image, [])
        pixels = np.asarray(image)
        height = (len(pixels) + GAP_PIXELS) // len(names)
        chosen = evenly_spaced(len(names), MAX_ROWS)
        padded = np.pad(pixels, ((0, GAP_PIXELS), *((0, 0),) * (pixels.ndim - 1)))
        rows = padded.reshape(len(names), height, *pixels.shape[1:])[chosen]
        picture = Image.fromarray(rows.reshape(-1, *pixels.shape[1:])[:-GAP_PIXELS])
        if height > MAX_ROW_HEIGHT:
            scale = MAX_ROW_HEIGHT / height
            size = round(picture.width * scale), round(picture.height * scale)
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        return _encode(picture, [names[i] for i in chosen])


def read_picture(path: Path) -> Picture:
    """Return a figure, a PNG, without loss.

    Raises:
        LtdmError: The file is damaged.
    """
    with _open(path) as image:
        return _encode(image, [], lossless=True)


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Open a picture of ours, of any size; Pillow warns of large ones, and refuses larger ones."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with explain_read_errors(path, "picture"), Image.open(path) as image:
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _encode(image: Image.Image, rows: list[str], lossless: bool = False) -> Picture:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "webp", quality=QUALITY, lossless=lossless)
    text = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/webp;base64,{text}", image.width, image.height, rows)
