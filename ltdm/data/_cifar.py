"""Common code of CIFAR-10 and CIFAR-100: torchvision's files, or the same images in an .npz."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock

from ltdm.data import _arrays
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import option

CITATION = """@techreport{krizhevsky2009cifar,
  title={Learning Multiple Layers of Features from Tiny Images},
  author={Krizhevsky, Alex}, institution={University of Toronto}, year={2009}}"""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Location of the files."""

    root: str = option(
        "data",
        "Folder of torchvision's files; missing files are downloaded and their checksums checked.",
        location=True,
    )
    npz: str | None = option(
        None,
        "Read the images from this .npz (x_train, y_train, x_test, y_test) instead.",
        location=True,
    )


def describe(options: Options, names: list[str]) -> SourceInfo:
    """Return the data set's published contents; an .npz is checked against them.

    Raises:
        OptionError: The .npz has other class counts or images of another shape.
    """
    published = SourceInfo(names, [50_000 // len(names)] * len(names), 3, 32)
    if options.npz:
        info = _arrays.describe(Path(options.npz))
        if (info.class_counts, info.channels, info.resolution) != (published.class_counts, 3, 32):
            message = f"{options.npz} does not hold this data set's training images"
            raise OptionError(("npz",), f"{message}; correct the path, or leave `npz` out")
    return published


def load(
    options: Options, split: str, dataset: str, mean: tuple[float, ...], digests: Mapping[str, str]
) -> SourceSplit:
    """Return a split in the order of torchvision's files, which determines the long-tailed subset.

    `dataset` is the name of torchvision's class. `mean` is the published mean per channel of the
    training split, in [0, 1]. `digests` holds the SHA-256 of a split's images followed by its
    labels, for the splits where it is known.

    Raises:
        LtdmError: The files cannot be downloaded, or hold other images or another order.
    """
    if options.npz:
        loaded = _arrays.load(Path(options.npz), split)
    else:
        loaded = _load_torchvision(dataset, options.root, split)
    actual_mean = loaded.images.mean((0, 2, 3)) / 255
    if split == "train" and not np.allclose(actual_mean, mean, atol=1e-4):
        raise LtdmError(
            f"{options.npz or options.root} does not hold the images of {dataset}; correct the path"
        )
    if split not in digests:
        return loaded
    digest = hashlib.sha256(np.ascontiguousarray(loaded.images).data)
    digest.update(loaded.labels.astype("<i8").data)
    if digest.hexdigest() != digests[split]:
        raise LtdmError(
            f"{options.npz or options.root} holds other images than {dataset}, or the same in"
            " another order, which would give another long tail; write them in the order of the"
            " original files"
        )
    return loaded


def _load_torchvision(dataset: str, root: str, split: str) -> SourceSplit:
    """Read a split from torchvision's files; download them if they are missing or incomplete."""
    from torchvision import datasets

    open_split = partial(getattr(datasets, dataset), root, train=split == "train")
    try:
        try:
            data = open_split()
        except RuntimeError:  # missing or incomplete
            with FileLock(Path(root) / ".lock"):  # jobs of two data sets may download at once
                data = open_split(download=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LtdmError(
            f"cannot get {dataset} into {root} ({error}); download it where there is a network and"
            " set `root`, or set `npz`"
        ) from error
    return SourceSplit(data.data.transpose(0, 3, 1, 2), np.array(data.targets, np.int64))
