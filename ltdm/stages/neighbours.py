"""Samples and the long-tailed training set -> the nearest training images of each sample."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ltdm.errors import LtdmError
from ltdm.files import read_npz, write_npz
from ltdm.metrics._nearest import nearest


def run(search: dict[str, Any], *, train: Path, samples: Path, neighbours: Path) -> None:
    """Write `neighbours` (.npz), in the order of the samples.

    It holds squared distances of pixels in [0, 1], or of points, to the n nearest training images,
    ascending, float64 (N, n); their rows in `train`, index, int32 (N, n); whether they are mirrored
    there, bool (N, n); labels of the samples; about, which also has the search and the number of
    training images.

    Args:
        search: `neighbours`, n, and `mirror`: whether mirror images of training images count.
        train: The training set (.npz).
        samples: The sample set (.npz).
        neighbours: Where the result goes.

    Raises:
        LtdmError: A file is damaged, the two hold different kinds of image, or there are too few
            training images.
    """
    (known,) = read_npz(train, "images")
    images, labels, about = read_npz(samples, "images", "labels", "about")
    if (known.dtype, known.shape[1:]) != (images.dtype, images.shape[1:]):
        raise LtdmError(
            f"{samples} holds {images.dtype} images of shape {images.shape[1:]}, but {train}"
            f" {known.dtype} of {known.shape[1:]}; compare them with what they were made from"
        )
    if len(known) < search["neighbours"]:
        raise LtdmError(
            f"{train} holds {len(known)} images, of which no {search['neighbours']} can be the"
            " nearest; set the metric's `neighbours` lower"
        )
    found = nearest(images, known, **search)
    told = {**json.loads(str(about)), "training_images": len(known), "search": search}
    about = np.array(json.dumps(told))
    arrays = {"squared": found.squared, "index": found.numbers, "mirrored": found.mirrored}
    write_npz(neighbours, **arrays, labels=labels, about=about)
