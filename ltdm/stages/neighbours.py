"""Images, generated or real -> the nearest images of the long-tailed training set to each."""

import hashlib
import json
from pathlib import Path

import numpy as np

from ltdm.core.image_files import read_image_file
from ltdm.metrics._nearest_train import find_nearest
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256, write_npz
from ltdm.plumbing.request import Request


def run(request: Request, *, train: Path, images: Path, neighbours: Path) -> None:
    """Write `neighbours` (.npz), in the order of the images.

    `features` are squared distances of pixels in [0, 1], or of points, to the k nearest training
    images, ascending, float64 (N, k); `index` their rows in `train`, int32 (N, k); `mirrored`
    whether their mirror image is the nearer one, bool (N, k); `labels` those of the images; `about`
    the images' metadata, with the search and the training set's digest as the extractor.

    `request` has `search`, its `k` and `flip`, whether mirror images of training images count; and
    `unseen`, whether images that are in the training set are left out, as are their mirror images
    with `flip`.

    Raises:
        LtdmError: The files have different kinds of images, or `train` fewer than k.
    """
    search = request["search"]
    train_images = read_image_file(train).images
    queries, labels, about, _ = read_image_file(images)
    _check_same_kind(images, queries, train, train_images)
    if len(train_images) < search["k"]:
        raise LtdmError(
            f"{train} has {len(train_images)} images, but the metric needs {search['k']}; lower `k`"
        )
    if request["unseen"]:
        trained_on = train_images
        if search["flip"]:
            trained_on = np.concatenate([train_images, train_images[..., ::-1]])
        unseen = ~np.isin(_digests(queries), _digests(trained_on))
        queries, labels = queries[unseen], labels[unseen]
    nearest = find_nearest(queries, train_images, **search)
    extractor = {"search": search, "train": sha256(train)}
    write_npz(
        neighbours,
        features=nearest.squared_distances,
        index=nearest.rows,
        mirrored=nearest.mirrored,
        labels=labels,
        about=np.array(json.dumps({**about, "extractor": extractor})),
    )


def _check_same_kind(
    images: Path, queries: np.ndarray, train: Path, train_images: np.ndarray
) -> None:
    """Raise LtdmError unless the images of both files have the same type and shape."""
    if (train_images.dtype, train_images.shape[1:]) != (queries.dtype, queries.shape[1:]):
        raise LtdmError(
            f"{images} has {queries.dtype} images of shape {queries.shape[1:]}, but {train} has"
            f" {train_images.dtype} ones of {train_images.shape[1:]};"
            " compare images with the training set that they belong to"
        )


def _digests(images: np.ndarray) -> np.ndarray:
    """Return a digest of each image, as text, shape (N,)."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images]
    return np.array(digests, dtype="U32")
