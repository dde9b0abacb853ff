"""Images, generated or real, and the long-tailed training set -> the nearest ones of each image."""

import hashlib
import json
from pathlib import Path

import numpy as np

from ltdm.metrics._nearest_train import find_nearest
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, sha256, write_npz
from ltdm.plumbing.request import Request


def run(request: Request, *, train: Path, images: Path, neighbours: Path) -> None:
    """Write `neighbours` (.npz), in the order of the images.

    As features it holds squared distances of pixels in [0, 1], or of points, to the n nearest
    training images, ascending, float64 (N, n); then their rows in `train`, index, int32 (N, n);
    whether they are mirrored there, bool (N, n); labels of the images; about, which also has the
    search and the training set's digest.

    `request` has `search`, its `k`, n, and `flip`: whether mirror images of training
    images count; and `unseen`, whether images that are in the training set themselves, or their
    mirror images if those count, are left out.

    Raises:
        LtdmError: The two hold different kinds of image, or there are too few training images.
    """
    search = request["search"]
    (train_images,) = read_npz(train, "images")
    queries, labels, about = read_npz(images, "images", "labels", "about")
    if (train_images.dtype, train_images.shape[1:]) != (queries.dtype, queries.shape[1:]):
        raise LtdmError(
            f"{images} holds {queries.dtype} images of shape {queries.shape[1:]}, but {train}"
            f" {train_images.dtype} of {train_images.shape[1:]}; compare them with what they were made from"
        )
    if len(train_images) < search["k"]:
        raise LtdmError(
            f"{train} holds {len(train_images)} images, of which no {search['k']} can be the"
            " nearest; set the metric's `k` lower"
        )
    if request["unseen"]:
        train_variants = (
            np.concatenate([train_images, train_images[..., ::-1]])
            if search["flip"]
            else train_images
        )
        unseen = ~np.isin(_digests(queries), _digests(train_variants))
        queries, labels = queries[unseen], labels[unseen]
    neighbours_found = find_nearest(queries, train_images, **search)
    arrays = {
        "features": neighbours_found.squared_distances,
        "index": neighbours_found.rows,
        "mirrored": neighbours_found.mirrored,
    }
    extractor = {"search": search, "train": sha256(train)}
    about = np.array(json.dumps({**json.loads(str(about)), "extractor": extractor}))
    write_npz(neighbours, **arrays, labels=labels, about=about)


def _digests(images: np.ndarray) -> np.ndarray:
    """Return a digest of each image, as text (N,)."""
    neighbours_found = [
        hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images
    ]
    return np.array(neighbours_found, dtype="U32")
