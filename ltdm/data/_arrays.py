"""Images from an .npz with the arrays x_train, y_train, x_test and y_test."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from ltdm.data._base import SourceInfo, SourceSplit, default_class_names
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import ARRAYS, explain_read_errors, read_npz


def describe(path: Path) -> SourceInfo:
    """Describe the training arrays from their labels and the archive's index, without the images.

    The digest is computed from the checksums (CRC-32) that the archive stores for each array.

    Raises:
        LtdmError: The file is missing or damaged, or its arrays are not labelled images.
    """
    with explain_read_errors(path, ARRAYS, is_result=False), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        checksums = [(e.filename, e.CRC) for e in entries if e.filename[:2] in ("x_", "y_")]
        members = archive.namelist()
        if "x_train.npy" not in members:
            held = ", ".join(name.removesuffix(".npy") for name in members) or "nothing"
            raise LtdmError(
                f"{path} has no array 'x_train'; it holds {held}; rename the array of the training"
                " images"
            )
        with archive.open("x_train.npy") as file:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    _, channels, resolution = _uint8_layout(shape, dtype, "x_train", path)
    counts = np.bincount(_read_labels(path, "train", shape[0])).tolist()
    if 0 in counts:
        raise LtdmError(
            f"{path}: y_train has no image of class {counts.index(0)}; labels must be 0 to"
            f" {len(counts) - 1} without a gap"
        )
    digest = hashlib.sha256(repr(sorted(checksums)).encode()).hexdigest()[:16]
    return SourceInfo(default_class_names(len(counts)), counts, channels, resolution, digest)


def load(path: Path, split: str) -> SourceSplit:
    """Return the images, uint8 (N, C, H, W), and labels of the split "train" or "test"."""
    (images,) = read_npz(path, f"x_{split}", is_result=False)
    channels_last, _, _ = _uint8_layout(images.shape, images.dtype, f"x_{split}", path)
    labels = _read_labels(path, split, len(images))
    return SourceSplit(to_channels_first(images) if channels_last else images, labels)


def to_channels_first(images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W) or (N, H, W, C) as a contiguous array (N, C, H, W)."""
    images = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def image_layout(shape: tuple[int, ...], key: str, path: Path) -> tuple[bool, int, int]:
    """Return whether the channels of an array of images come last, their number, and the height.

    `shape` is (N, H, W), (N, H, W, C) or (N, C, H, W) with H = W, and C is 1 or 3. `key` and `path`
    name the array in the LtdmError that is raised for any other shape.
    """
    full = (*shape, 1) if len(shape) == 3 else shape
    if len(full) == 4 and full[3] in (1, 3) and full[1] == full[2]:
        return True, full[3], full[1]
    if len(full) == 4 and full[1] in (1, 3) and full[2] == full[3]:
        return False, full[1], full[2]
    raise LtdmError(
        f"{path}: {key} must hold square images, shape (N, H, W), (N, H, W, C) or (N, C, H, W) with"
        f" 1 or 3 channels, not {shape}"
    )


def _uint8_layout(
    shape: tuple[int, ...], dtype: np.dtype, key: str, path: Path
) -> tuple[bool, int, int]:
    """Return `image_layout` of an array, which must be uint8."""
    if dtype != np.uint8:
        raise LtdmError(f"{path}: {key} must hold uint8 images from 0 to 255, not {dtype}")
    return image_layout(shape, key, path)


def _read_labels(path: Path, split: str, num_images: int) -> np.ndarray:
    """Return a split's labels, int64 (N,): one for each image, from 0, below N."""
    (labels,) = read_npz(path, f"y_{split}", is_result=False)
    labels = labels.reshape(-1)
    if num_images == 0:
        raise LtdmError(f"{path}: x_{split} holds no image; name another file")
    valid = labels.dtype.kind in "iu" and len(labels) == num_images
    if not valid or labels.min() < 0 or labels.max() >= num_images:
        raise LtdmError(
            f"{path}: y_{split} must hold one whole number from 0 for each of {num_images} images,"
            " its class; number the classes 0, 1, 2 and so on"
        )
    return labels.astype(np.int64)
