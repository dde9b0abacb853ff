"""Image files to one uint8 array: decoded once, cropped to a square, resized with antialiasing.

EXIF rotation is applied. 16-bit greys keep their upper 8 bits. Transparent images are laid over
white. Grey, palette and CMYK images become RGB, or all become grey for one channel. Of an animation
the first frame is taken. An image that is not square is cropped to its central square.
"""

import hashlib
import logging
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
LANCZOS = Image.Resampling.LANCZOS
PROGRESS_INTERVAL = 512  # files between two reports of progress
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp")
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
DECODE_ERRORS = (*PILLOW_ERRORS, struct.error, zlib.error)


def list_images(folder: Path) -> list[os.DirEntry[str]]:
    """Return the image files directly in a folder, by name, without hidden ones.

    Raises:
        LtdmError: The folder cannot be listed or holds no image.
    """
    try:
        entries = [e for e in os.scandir(folder) if not e.name.startswith(".")]
    except OSError as error:
        raise LtdmError(f"cannot list images in {folder}: {error.strerror}; fix that") from error
    images = [entry for entry in entries if entry.name.lower().endswith(EXTENSIONS)]
    if not images:
        kinds = ", ".join(EXTENSIONS)
        raise LtdmError(f"{folder} holds no image ({kinds}); add images, or remove the folder")
    return sorted(images, key=lambda entry: entry.name)


def folder_digest(classes: Mapping[str, list[os.DirEntry[str]]]) -> str:
    """Return a digest of the classes' names and of their files' names and sizes in bytes."""
    items = [(c, e.name, _size(e)) for c, entries in classes.items() for e in entries]
    return hashlib.sha256(repr(items).encode()).hexdigest()[:16]


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a dangling link: decoding it reports the error
        return -1


def decode(
    file: str | Path, resolution: int, channels: int = 3, resample: int = LANCZOS
) -> np.ndarray:
    """Return an image file as uint8 (channels, resolution, resolution); `channels` is 1 or 3.

    Raises one of `DECODE_ERRORS` for a bad file.
    """
    size = (resolution, resolution)
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling(resample))
    return np.asarray(image).reshape(*size, channels).transpose(2, 0, 1)


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
        except DECODE_ERRORS as error:
            return str(error).replace(str(files[i]), "").strip(" '") or type(error).__name__
        return ""

    threads = os.environ.get("OMP_NUM_THREADS", "")
    workers = int(threads) if threads.isdigit() else os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, Progress("decoding", len(files), "files") as progress:
        for start in range(0, len(files), PROGRESS_INTERVAL):
            rows = range(start, min(start + PROGRESS_INTERVAL, len(files)))
            reasons = zip(rows, pool.map(decode_row, rows), strict=True)
            failures |= {i: reason for i, reason in reasons if reason}
            progress.advance(len(rows))
    return images, failures


def raise_for_bad_files(reasons: dict[str, str], num_files: int, root: Path, advice: str) -> None:
    """Raise LtdmError if there are `reasons`: why files below `root` could not be decoded, by name.

    The message counts the bad files among `num_files`, names the first ones and ends with `advice`.
    All of them are logged.
    """
    for name, reason in reasons.items():
        log.info("cannot decode %s: %s", root / name, reason)
    if reasons:
        first = shorten([f"{name} ({reason})" for name, reason in reasons.items()])
        raise LtdmError(
            f"{len(reasons)} of {num_files} files in {root} cannot be decoded: {first}; {advice}"
        )
