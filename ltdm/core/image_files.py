"""Files of images that stages write and read: prepared data and sample sets."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ltdm.plumbing.files import explain_read_errors, read_arrays


class ImageFile(NamedTuple):
    """Contents of a file of images."""

    images: np.ndarray  # uint8, shape (N, C, H, W); points are floats, shape (N, d, 1, 1)
    labels: np.ndarray  # int64, shape (N,); -1 for images without labels
    about: dict[str, Any]  # their origin; empty for a training set
    source_rows: np.ndarray  # int64, their rows in the source; 0 .. N - 1 if the file has none


def read_image_file(path: Path) -> ImageFile:
    """Read a file of images.

    Raises:
        LtdmError: The file is missing or damaged, or its arrays do not belong together.
    """
    arrays = read_arrays(path, ("images", "labels"), ("about", "index"))
    images, labels = arrays["images"], arrays["labels"]
    with explain_read_errors(path, "file of images"):
        if images.ndim != 4 or images.dtype.kind not in "uf" or not images.size:
            raise ValueError(f"`images` is {images.dtype} of shape {images.shape}")
        if labels.shape != images.shape[:1] or labels.dtype.kind != "i" or labels.min() < -1:
            raise ValueError("`labels` holds no label for each image")
        index = arrays.get("index", np.arange(len(images)))
        if index.ndim != 1 or index.dtype.kind != "i":
            raise ValueError(f"`index` is {index.dtype} of shape {index.shape}")
        about = read_about(arrays["about"]) if "about" in arrays else {}
    return ImageFile(images, labels, about, index)


def read_about(array: np.ndarray) -> dict[str, Any]:
    """Return the mapping in the array `about` of a file, JSON; ValueError if it holds none."""
    about = json.loads(str(array))
    if not isinstance(about, dict):
        raise ValueError("`about` holds no JSON object")
    return about
