"""Image sets of other projects, for scoring: a folder, an .npz or an .npy.

Images are neither resized nor compressed again, since both change every distance. Floats in [0, 1]
are rounded to 256 levels, as if the images had been saved without loss. Samplers that do not clip
their last step exceed [0, 1] by a few per cent at most; what they exceed by is clipped.
"""

import contextlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ltdm.data import _images, _listing
from ltdm.data._arrays import image_layout, to_channels_first
from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.files import explain_read_errors, plain_array

log = logging.getLogger("ltdm")
IMAGE_KEYS = ("images", "arr_0", "samples", "x_train", "x")
LABEL_KEYS = ("labels", "arr_1", "label", "y_train", "y")
"""Names of arrays in an .npz: ltdm's, numpy's defaults, and those of other projects."""
RANGE_TOLERANCE = 1e-3  # by which rounding errors may exceed [0, 1]
MAX_OVERSHOOT = 0.02  # by which samples may exceed [0, 1]; beyond it, the range is another one


class ImageSet(NamedTuple):
    """Images with labels and the names of their classes."""

    images: np.ndarray  # uint8, shape (N, C, H, W)
    labels: np.ndarray  # int64, shape (N,); all -1 for images without labels
    names: list[str]  # of the classes, by label; empty unless sub-folders define them


def read_images(path: Path, labels: Path | None = None, names: Sequence[str] = ()) -> ImageSet:
    """Read a set of images.

    Args:
        path: A folder of image files or of one sub-folder per class, an .npz, or an .npy. Arrays
            are uint8 or floats in [0, 1], shape (N, H, W), (N, H, W, C) or (N, C, H, W). Floats
            that exceed [0, 1] by MAX_OVERSHOOT at most are clipped, with a warning.
        labels: An .npy of labels, (N,), which replace those in the file of the images.
        names: The names of the classes, by label. Each sub-folder must be called by a name or by
            its label. Without `names`, sub-folders called 0 .. C - 1 are labels; others are classes
            in sorted order.

    Raises:
        LtdmError: The images cannot be read, differ in size, or have an unclear range.
    """
    if path.is_dir():
        if labels:
            raise LtdmError(f"the sub-folders of {path} are its labels; leave {labels} out")
        return _read_folder(path, names)
    images, values = _read_arrays(path)
    if labels:
        with explain_read_errors(labels, ".npy of labels", is_result=False):
            values = plain_array(np.load(labels, allow_pickle=False))
    images = _to_uint8(images, path)
    num_images = len(images)
    values = np.full(num_images, -1) if values is None else values.reshape(-1)
    if values.dtype.kind not in "iu" or len(values) != num_images or num_images == 0:
        raise LtdmError(
            f"{labels or path}: there must be one whole number for each of {num_images} images"
        )
    if values.min() < 0 <= values.max():
        raise LtdmError(
            f"{labels or path}: some images have labels and some (below 0) have none; label all of"
            " them, or none"
        )
    return ImageSet(images, values.astype(np.int64), [])


def _read_folder(root: Path, names: Sequence[str]) -> ImageSet:
    """Read image files of one size, from a folder or from its sub-folders, one per class."""
    classes, loose = _listing.list_folder(root)
    label_of = _labels_of_folders(classes, names, root)
    if classes and loose:
        raise LtdmError(
            f"{root} holds both images ({loose[0].name}) and folders ({classes[0]}); keep only one"
            " of the two"
        )
    files_by_class = _listing.list_classes(root, classes or [""])
    files = [entry.path for entries in files_by_class.values() for entry in entries]
    labels = [label_of.get(c, -1) for c, entries in files_by_class.items() for _ in entries]
    resolution, channels = _common_size(files)
    images, failures = _images.decode_all(files, resolution, channels)
    reasons = {Path(files[i]).relative_to(root).as_posix(): why for i, why in failures.items()}
    _images.raise_for_bad_files(reasons, len(files), root, "fix or remove them")
    name_of = {label: name for name, label in label_of.items()}
    class_names = [name_of.get(i, str(i)) for i in range(max(name_of, default=-1) + 1)]
    return ImageSet(images, np.array(labels, np.int64), class_names)


def _labels_of_folders(classes: list[str], names: Sequence[str], root: Path) -> dict[str, int]:
    """Return the label of each sub-folder; LtdmError for one that is no class among `names`."""
    numeric = {c: int(c) for c in classes if c.isdecimal()}
    if not names:
        complete = set(numeric.values()) == set(range(len(classes)))
        return numeric if complete else {c: i for i, c in enumerate(classes)}
    label_of = {c: i for c, i in numeric.items() if i < len(names)}
    label_of |= {name: i for i, name in enumerate(names)}
    unknown = [c for c in classes if c not in label_of]
    if unknown:
        raise LtdmError(
            f"{root} has a folder {unknown[0]!r}, which is no class of the reference; its classes"
            f" are {', '.join(names)}"
        )
    return {c: label_of[c] for c in classes}


def _common_size(files: list[str]) -> tuple[int, int]:
    """Return the height and width of all files and the channels, 1 if all are grey and else 3.

    Raises:
        LtdmError: The files are of several sizes or not square.
    """
    formats = {}
    with warnings.catch_warnings(action="ignore"):
        for file in files:
            with contextlib.suppress(Exception), _images.open_image(file) as image:
                is_grey = image.mode in ("1", "L") or image.mode.startswith("I")
                formats[image.size, 1 if is_grey else 3] = file  # decoding reports what is bad
    sizes = {size: file for (size, _), file in formats.items()}
    if len(sizes) > 1 or any(width != height for width, height in sizes):
        examples = " and ".join(f"{w} x {h} ({file})" for (w, h), file in list(sizes.items())[:2])
        raise LtdmError(
            f"images must be square and of one size, not {examples}; resizing changes the"
            " distances, so resize them yourself, in the same way for all sets that you compare"
        )
    resolution = next(iter(sizes), (1, 1))[0]
    return resolution, max((channels for _, channels in formats), default=1)


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the arrays of images and labels of an .npz or .npy; labels may be missing."""
    with explain_read_errors(path, "array file (.npz, .npy) of plain numbers", is_result=False):
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return plain_array(loaded), None
        with loaded:
            for key in IMAGE_KEYS:
                if key in loaded:
                    name = next((name for name in LABEL_KEYS if name in loaded), None)
                    return plain_array(loaded[key]), plain_array(loaded[name]) if name else None
            raise LtdmError(
                f"{path} has no array of images, but {shorten([*loaded])}; call it"
                f" {' or '.join(IMAGE_KEYS)}"
            )


def _to_uint8(images: np.ndarray, path: Path) -> np.ndarray:
    """Return images as uint8 (N, C, H, W); floats may exceed [0, 1] by MAX_OVERSHOOT."""
    channels_last, _, _ = image_layout(images.shape, path.name, path)
    if images.dtype != np.uint8:
        low, high, values = 0.0, 0.0, ""
        if images.dtype.kind == "f" and images.size:
            low, high = float(images.min()), float(images.max())
            values = " with NaN" if np.isnan(low) else f" from {low:.4g} to {high:.4g}"
        in_range = -MAX_OVERSHOOT <= low <= high <= 1 + MAX_OVERSHOOT
        if images.dtype.kind != "f" or not in_range:
            raise LtdmError(
                f"{path}: images must be uint8, or numbers from 0 to 1; these are"
                f" {images.dtype}{values}; convert them"
            )
        if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
            outside = np.count_nonzero((images < 0) | (images > 1))
            log.warning(
                "%s: clipped %d of %d pixel values, which were outside [0, 1] by up to %.2g",
                *(path, outside, images.size, max(-low, high - 1)),
            )
        images = (images.clip(0, 1) * 255).round().astype(np.uint8)
    return to_channels_first(images) if channels_last else images
