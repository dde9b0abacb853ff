"""Sets of images that others made, for scoring: a folder, an .npz or an .npy.

Nothing is resized and nothing is compressed again: both change every distance. Numbers with a
fraction are rounded to 256 levels, as if the images had been saved without loss.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ltdm.data import _images
from ltdm.data._arrays import square
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors

IMAGES = ("images", "arr_0", "samples", "x_train", "x")
LABELS = ("labels", "arr_1", "label", "y_train", "y")
"""Names of arrays in an .npz: ours, the ones numpy gives by itself, and other projects'."""
SLACK = 1e-3  # how far beyond [0, 1] a rounding error may reach


class Given(NamedTuple):
    """A set of images.

    Attributes:
        images: uint8, shape (N, C, H, W).
        labels: int64, shape (N,); -1 where nobody says.
        names: Of the classes, where sub-folders tell them.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]


def read(path: Path, labels: Path | None = None, names: Sequence[str] = ()) -> Given:
    """Read a set of images.

    Args:
        path: A folder of image files, or of one sub-folder a class; an .npz, an .npy. Arrays are
            uint8 or in [0, 1], shape (N, H, W), (N, H, W, C) or (N, C, H, W).
        labels: An .npy of labels, which count before those of the images' own file.
        names: The classes' names, one of which each sub-folder must bear, or its number; without
            them sub-folders are the numbers from 0, or else classes in sorted order.

    Raises:
        LtdmError: They cannot be read, or are of several sizes, or of an unclear range.
    """
    if path.is_dir():
        if labels:
            raise LtdmError(f"the sub-folders of {path} are its labels; leave {labels} out")
        return _folder(path, names)
    images, own = _arrays(path)
    if labels:
        with explain_read_errors(labels, is_result=False):
            own = np.load(labels, allow_pickle=False)
        if not isinstance(own, np.ndarray):
            raise LtdmError(f"{labels} holds several arrays; write the labels alone, as .npy")
    n = len(images)
    own = np.full(n, -1) if own is None else own.reshape(-1)
    if own.dtype.kind not in "iu" or len(own) != n or n == 0:
        raise LtdmError(f"{labels or path}: there must be one whole number for each of {n} images")
    if own.min() < 0 <= own.max():
        raise LtdmError(f"{labels or path}: some images have labels and some (below 0) have none")
    return Given(_levels(images, path), own.astype(np.int64), [])


def _folder(root: Path, names: Sequence[str]) -> Given:
    classes = sorted(e.name for e in os.scandir(root) if e.is_dir() and e.name[0] != ".")
    numbers = _numbers(classes, names, root)
    beside = [e.name for e in os.scandir(root) if e.name.lower().endswith(_images.ENDINGS)]
    if classes and beside:
        raise LtdmError(
            f"{root} holds both images ({min(beside)}) and folders ({classes[0]}); keep one kind"
            " alone"
        )
    listed = {c: _images.files_of(root / c) for c in classes} or {"": _images.files_of(root)}
    files = [entry.path for found in listed.values() for entry in found]
    labels = [numbers.get(c, -1) for c, found in listed.items() for _ in found]
    side, channels = _shape(files)
    images, bad = _images.decode_all(files, side, channels)
    reasons = {Path(files[i]).relative_to(root).as_posix(): why for i, why in bad.items()}
    _images.refuse(reasons, len(files), root, "fix or remove them")
    by_number = {number: name for name, number in numbers.items()}
    told = [by_number.get(i, str(i)) for i in range(max(by_number, default=-1) + 1)]
    return Given(images, np.array(labels, np.int64), told)


def _numbers(classes: list[str], names: Sequence[str], root: Path) -> dict[str, int]:
    """Return the label of each sub-folder."""
    numbers = {c: int(c) for c in classes if c.isdecimal()}
    if not names:
        counted = set(numbers.values()) == set(range(len(classes)))
        return numbers if counted else {c: i for i, c in enumerate(classes)}
    known = {c: i for c, i in numbers.items() if i < len(names)}
    known |= {name: i for i, name in enumerate(names)}
    strange = [c for c in classes if c not in known]
    if strange:
        raise LtdmError(
            f"{root} has a folder {strange[0]!r}, which is no class of the reference; its classes"
            f" are {', '.join(names)}"
        )
    return {c: known[c] for c in classes}


def _shape(files: list[str]) -> tuple[int, int]:
    """Return the side and the channels that all files have; refuse files of other shapes."""
    kinds = {}
    for file in files:
        try:
            with Image.open(file) as image:
                kinds[image.size, 1 if image.mode in ("1", "L") else 3] = file
        except _images.BAD:
            continue  # decoding it will say why
    sizes = {size: file for (size, _), file in kinds.items()}
    if len(sizes) > 1 or any(width != height for width, height in sizes):
        told = " and ".join(f"{w} x {h} ({file})" for (w, h), file in list(sizes.items())[:2])
        raise LtdmError(
            f"images must be square and of one size, not {told}; resizing would change the"
            " distances, so do it yourself, the same for all sets that you compare"
        )
    side = next(iter(sizes), (1, 1))[0]
    return side, max((channels for _, channels in kinds), default=1)


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    with explain_read_errors(path, is_result=False):
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded:
            for key in IMAGES:
                if key in loaded:
                    own = next((loaded[name] for name in LABELS if name in loaded), None)
                    return loaded[key], own
            raise LtdmError(
                f"{path} has no array of images; it holds {', '.join(loaded)}, and should hold"
                f" one called {' or '.join(IMAGES)}"
            )


def _levels(images: np.ndarray, path: Path) -> np.ndarray:
    """Return uint8 images, channels first."""
    last = square(images.shape, path.name, path)[0]
    if images.dtype != np.uint8:
        low, high = (float(f(images)) for f in (np.min, np.max)) if images.size else (0.0, 0.0)
        if images.dtype.kind != "f" or not -SLACK <= low <= high <= 1 + SLACK:
            raise LtdmError(
                f"{path}: images must be uint8, or numbers from 0 to 1; these are {images.dtype}"
                f" from {low:.4g} to {high:.4g}"
            )
        images = (images.clip(0, 1) * 255).round().astype(np.uint8)
    images = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if last else images
