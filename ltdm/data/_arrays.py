"""Images from the arrays x_train, y_train, x_test, y_test of an .npz."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from ltdm.data._base import Census, Loaded, numbered
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_npz


def census(path: Path) -> Census:
    """Return what the training arrays hold, from their labels and the archive's index alone.

    The content's digest is made of the checksums that the archive itself keeps.
    """
    with explain_read_errors(path, is_result=False), zipfile.ZipFile(path) as archive:
        sums = [(i.filename, i.CRC) for i in archive.infolist() if i.filename[:2] in ("x_", "y_")]
        held = archive.namelist()
        if "x_train.npy" not in held:
            raise LtdmError(f"{path} has no array 'x_train'; it holds {', '.join(held)}")
        with archive.open("x_train.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            read = read if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
    channels, side = _layout(shape, dtype, "x_train", path)[1:]
    sizes = np.bincount(_labels(path, "train", shape[0])).tolist()
    if 0 in sizes:
        raise LtdmError(
            f"{path}: y_train has no image of class {sizes.index(0)}; labels must be 0 to"
            f" {len(sizes) - 1} without a gap"
        )
    content = hashlib.sha256(repr(sorted(sums)).encode()).hexdigest()[:16]
    return Census(numbered(len(sizes)), sizes, channels, side, content)


def load(path: Path, split: str) -> Loaded:
    """Return the images and labels of a split, channels first."""
    (images,) = read_npz(path, f"x_{split}", is_result=False)
    last = _layout(images.shape, images.dtype, f"x_{split}", path)[0]
    labels = _labels(path, split, len(images))
    images = images[..., None] if images.ndim == 3 else images
    return Loaded(np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if last else images, labels)


def _layout(shape: tuple[int, ...], dtype: np.dtype, key: str, path: Path) -> tuple[bool, int, int]:
    """Return whether channels come last, their number, and the side."""
    if dtype != np.uint8:
        raise LtdmError(f"{path}: {key} must hold uint8 images from 0 to 255, not {dtype}")
    return square(shape, key, path)


def square(shape: tuple[int, ...], key: str, path: Path) -> tuple[bool, int, int]:
    """Return whether the channels of an array of images come last, their number, and the side."""
    full = (*shape, 1) if len(shape) == 3 else shape
    if len(full) == 4 and full[3] in (1, 3) and full[1] == full[2]:
        return True, full[3], full[1]
    if len(full) == 4 and full[1] in (1, 3) and full[2] == full[3]:
        return False, full[1], full[2]
    raise LtdmError(
        f"{path}: {key} must hold square images, shape (N, H, W), (N, H, W, C) or (N, C, H, W) with"
        f" 1 or 3 channels, not {shape}"
    )


def _labels(path: Path, split: str, n: int) -> np.ndarray:
    (labels,) = read_npz(path, f"y_{split}", is_result=False)
    labels = labels.reshape(-1)
    whole = labels.dtype.kind in "iu" and len(labels) == n > 0
    if not whole or labels.min() < 0 or labels.max() >= n:
        raise LtdmError(
            f"{path}: y_{split} must hold one whole number from 0 for each of {n} images"
        )
    return labels.astype(np.int64)
