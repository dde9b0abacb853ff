"""Image files to one uint8 array: decoded once, cropped to a square, resized with antialiasing.

The orientation in EXIF or XMP is applied. 16-bit greys keep their upper 8 bits. Transparent images
are laid over white. Grey, palette and CMYK images become RGB, or all become grey for one channel.
Of an animation or of several pages the first is taken. An image that is not square is cropped to
its central square.
"""

import logging
import os
import stat
import textwrap
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

from ltdm.plumbing.errors import LtdmError, printable, shorten
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs of a bad file is reported here
LANCZOS = Image.Resampling.LANCZOS
PROGRESS_INTERVAL = 512  # files between two reports of progress
REASON_LENGTH = 100  # characters of a bad file's reason
ORIENTATION = 0x0112  # the tag of EXIF and TIFF
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image of each orientation upright (EXIF 2.3, 4.6.4); others are upright."""
EXIF, EXIF_REACH = b"Exif\0\0", 2**17  # the first bytes of a JPEG's EXIF, and how far to look


def open_image(file: str | Path) -> ImageFile.ImageFile:
    """Return an image file that is opened and not decoded; raise any Exception for a bad file.

    Pillow reads the resolution of a JPEG from its EXIF and may fail at that. Then the EXIF is
    hidden from it, since the picture is whole.
    """
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")  # reading a named pipe would not end
    if status.st_size == 0:
        raise OSError("the file is empty")
    try:
        return Image.open(file)
    except Exception:
        with open(file, "rb") as stream:
            data = stream.read(EXIF_REACH)
            if EXIF not in data:
                raise
            data += stream.read()
        image = Image.open(BytesIO(data.replace(EXIF, bytes(len(EXIF)))))
        image.info["exif"] = data[data.index(EXIF) :]
        return image


def decode(
    file: str | Path, resolution: int, channels: int = 3, resample: int = LANCZOS
) -> np.ndarray:
    """Return an image file as uint8 (channels, resolution, resolution); `channels` is 1 or 3.

    Raises any Exception for a bad file.
    """
    size = (resolution, resolution)
    with open_image(file) as opened:
        raw_mode = str(opened.tile[0][3]) if opened.format == "PNG" and opened.tile else ""
        opened.load()
        image = over_white(opened, raw_mode)
        if (method := _transposition(opened)) is not None:
            image = image.transpose(method)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling(resample))
    return np.asarray(image).reshape(*size, channels).transpose(2, 0, 1)


def _transposition(image: Image.Image) -> Image.Transpose | None:
    """Return what brings a decoded image upright by EXIF or XMP; None if it is, or if unreadable.

    No other tag is parsed. Pillow itself applies the orientation of a TIFF.
    """
    try:
        return TRANSPOSE.get(image.getexif().get(ORIENTATION, 1))
    except Exception:
        return None


def over_white(image: Image.Image, raw_mode: str) -> Image.Image:
    """Return a decoded image with 8 bits a channel, laid over white where it is transparent.

    `raw_mode` is Pillow's name of how a PNG stores its pixels, empty for other formats. Pillow
    gives the transparent colour of a PNG in stored values, but scales pixels to 8 bits, unless they
    are 16-bit greys.
    """
    key = image.info.get("transparency")
    if image.mode == "F" or image.mode.startswith("I"):
        grey = np.asarray(image)
        low, high = grey.min(), grey.max()
        if image.mode == "F" or low < 0 or high > 65535:
            raise ValueError(f"its greys run from {low:.4g} to {high:.4g}; save it with 8 bits")
        grey = np.where(grey == key, 255, grey >> 8)
        return Image.fromarray(grey.astype(np.uint8))
    if key is not None and raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if raw_mode == "L;2" else 17)
    elif key is not None and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if image.mode == "LAB":
        return image.convert("RGB")
    if image.has_transparency_data:
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image


def decode_all(
    files: Sequence[str | Path], resolution: int, channels: int = 3, resample: int = LANCZOS
) -> tuple[np.ndarray, dict[int, str]]:
    """Decode files in parallel threads; return the images and the reasons of failures.

    The images are uint8 (N, channels, resolution, resolution). A file that cannot be decoded leaves
    its row black, and its position is a key of the second value. There are `OMP_NUM_THREADS`
    threads, by default one per CPU core.
    """
    images = np.zeros((len(files), channels, resolution, resolution), np.uint8)
    failures: dict[int, str] = {}

    def decode_row(i: int) -> str:
        """Decode file i into row i; return the reason of a failure, else the empty string."""
        try:
            images[i] = decode(files[i], resolution, channels, resample)
        except Exception as error:
            return _explain(error, str(files[i]))
        return ""

    threads = os.environ.get("OMP_NUM_THREADS", "")
    workers = (int(threads) if threads.isdecimal() else 0) or os.cpu_count() or 1
    with (
        warnings.catch_warnings(action="ignore"),
        ThreadPoolExecutor(workers) as pool,
        Progress("decoding", len(files), "files") as progress,
    ):
        for start in range(0, len(files), PROGRESS_INTERVAL):
            rows = range(start, min(start + PROGRESS_INTERVAL, len(files)))
            reasons = zip(rows, pool.map(decode_row, rows), strict=True)
            failures |= {i: reason for i, reason in reasons if reason}
            progress.advance(len(rows))
    return images, failures


def _explain(error: Exception, file: str) -> str:
    """Return in a few words why a file could not be decoded."""
    if file.lower().endswith(".avif") and not features.check("avif"):
        return "AVIF needs Pillow 11.3 or newer"
    if isinstance(error, UnidentifiedImageError):
        return "cannot identify image file"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    text = printable(textwrap.shorten(text, REASON_LENGTH, placeholder=" ..."))
    return text if " " in text else f"{type(error).__name__} {text}".strip()


def raise_for_bad_files(reasons: dict[str, str], num_files: int, root: Path, advice: str) -> None:
    """Raise LtdmError if there are `reasons`: why files below `root` could not be decoded, by name.

    The message counts the bad files among `num_files`, names the first ones and ends with `advice`.
    All of them are logged.
    """
    for name, reason in reasons.items():
        log.info("cannot decode %s: %s", root / printable(name), reason)
    if reasons:
        first = shorten([f"{name} ({reason})" for name, reason in reasons.items()])
        raise LtdmError(
            f"{len(reasons)} of {num_files} files in {root} cannot be decoded: {first}; {advice}"
        )
