"""Image files to one uint8 array: decoded once, cut square, resized with antialiasing.

Rotation tags are obeyed; 16-bit greys keep their upper 8 bits; transparency lies over white; grey,
palette and CMYK pictures become RGB (or everything grey, for one channel); of an animation the
first frame is taken. A picture that is not square loses its longer sides' ends.
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
BLOCK = 512  # files between two looks at the progress
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
BAD = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error,
       Image.DecompressionBombError)  # fmt: skip


def files_of(folder: Path) -> list[os.DirEntry[str]]:
    """Return the image files right inside a folder, by name; hidden ones do not count."""
    try:
        entries = [e for e in os.scandir(folder) if not e.name.startswith(".")]
    except OSError as error:
        raise LtdmError(f"cannot list the images in {folder}: {error.strerror}") from error
    found = [entry for entry in entries if entry.name.lower().endswith(ENDINGS)]
    if not found:
        raise LtdmError(f"{folder} holds no image ({', '.join(ENDINGS)})")
    return sorted(found, key=lambda entry: entry.name)


def content_of(classes: Mapping[str, list[os.DirEntry[str]]]) -> str:
    """Return a digest of the classes' names and of their files' names and sizes."""
    listed = [(c, e.name, _size(e)) for c, found in classes.items() for e in found]
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:16]


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link to nowhere: decoding it will say so
        return -1


def decode(file: str | Path, side: int, channels: int = 3, resample: int = LANCZOS) -> np.ndarray:
    """Return one picture, uint8 (channels, side, side)."""
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling(resample))
    return np.asarray(image).reshape(side, side, channels).transpose(2, 0, 1)


def decode_all(
    files: Sequence[str | Path], side: int, channels: int = 3, resample: int = LANCZOS
) -> tuple[np.ndarray, dict[int, str]]:
    """Decode files side by side into one array, uint8 (N, channels, side, side), with progress.

    Of each file that could not be decoded, the position and the reason are returned; its place in
    the array is black.
    """
    images = np.zeros((len(files), channels, side, side), np.uint8)
    bad: dict[int, str] = {}

    def one(i: int) -> str:
        """Put a picture in its place; return why that failed, or nothing."""
        try:
            images[i] = decode(files[i], side, channels, resample)
        except BAD as error:
            return str(error).replace(str(files[i]), "").strip(" '") or type(error).__name__
        return ""

    threads = os.environ.get("OMP_NUM_THREADS", "")
    workers = int(threads) if threads.isdigit() else os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, Progress("decoding", len(files), "files") as progress:
        for start in range(0, len(files), BLOCK):
            block = range(start, min(start + BLOCK, len(files)))
            bad |= {i: why for i, why in zip(block, pool.map(one, block), strict=True) if why}
            progress.advance(len(block))
    return images, bad


def refuse(bad: dict[str, str], of: int, root: Path, way_out: str) -> None:
    """Raise one sentence that counts the bad files, if any, and names the first; log all."""
    for name, reason in bad.items():
        log.info("cannot decode %s: %s", root / name, reason)
    if bad:
        shown = shorten([f"{name} ({reason})" for name, reason in bad.items()])
        raise LtdmError(f"{len(bad)} of {of} files in {root} cannot be decoded: {shown}; {way_out}")
