"""What CIFAR-10 and CIFAR-100 share: torchvision's files, or the same images in an .npz."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock

from ltdm.data import _arrays
from ltdm.data._base import Census, Loaded
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import option

CITATION = """@techreport{krizhevsky2009cifar,
  title={Learning Multiple Layers of Features from Tiny Images},
  author={Krizhevsky, Alex}, institution={University of Toronto}, year={2009}}"""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Where the files lie."""

    root: str = option(
        "data",
        "Folder of torchvision's files; what is missing there is downloaded and checked.",
        location=True,
    )
    npz: str | None = option(
        None,
        "Take the images from this .npz (x_train, y_train, x_test, y_test) instead.",
        location=True,
    )


def census(options: Options, names: list[str]) -> Census:
    """Return what the set holds by definition; an .npz is looked at."""
    promised = Census(names, [50_000 // len(names)] * len(names), 3, 32)
    if options.npz:
        found = _arrays.census(Path(options.npz))
        if (found.sizes, found.channels, found.side) != (promised.sizes, 3, 32):
            message = f"{options.npz} does not hold this data set's training images"
            raise OptionError(("npz",), message)
    return promised


def load(
    options: Options, split: str, dataset: str, mean: tuple[float, ...], digests: Mapping[str, str]
) -> Loaded:
    """Return a split in the order of torchvision's files, on which the long tail depends.

    `dataset` is the name of torchvision's class, `mean` the training split's published mean of each
    channel, in [0, 1]. `digests` are the SHA-256 of a split's images and labels, in that order, for
    the splits where it is known.
    """
    if options.npz:
        loaded = _arrays.load(Path(options.npz), split)
    else:
        loaded = _torchvision(dataset, options.root, split)
    found = loaded.images.mean((0, 2, 3)) / 255
    if split == "train" and not np.allclose(found, mean, atol=1e-4):
        raise LtdmError(f"{options.npz or options.root} does not hold the images of {dataset}")
    if split not in digests:
        return loaded
    whole = hashlib.sha256(np.ascontiguousarray(loaded.images).data)
    whole.update(loaded.labels.astype("<i8").data)
    if whole.hexdigest() != digests[split]:
        raise LtdmError(
            f"{options.npz or options.root} holds other images than {dataset}, or another order of"
            " them, which would give another long tail; write it in the order of the original files"
        )
    return loaded


def _torchvision(dataset: str, root: str, split: str) -> Loaded:
    from torchvision import datasets

    read = partial(getattr(datasets, dataset), root, train=split == "train")
    try:
        try:
            made = read()
        except RuntimeError:  # not there, or not whole
            with FileLock(Path(root) / ".lock"):  # two data sets of one source may come
                made = read(download=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LtdmError(
            f"cannot get {dataset} into {root} ({error}); download it where there is a network and"
            " set `root`, or set `npz`"
        ) from error
    return Loaded(made.data.transpose(0, 3, 1, 2), np.array(made.targets, np.int64))
