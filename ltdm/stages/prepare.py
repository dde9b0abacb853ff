"""Data source -> long-tailed training set and balanced reference, decoded once."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.data._longtail import LongTail, class_counts, select_subset
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256, write_json, write_npz, write_text
from ltdm.plumbing.options import parse
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import Request, to_record

log = logging.getLogger("ltdm")


def run(request: Request, *, train: Path, reference: Path, counts: Path, record: Path) -> None:
    """Build a data set.

    `request` has `source` and `longtail` as in the config; `reference_split`, used by metrics;
    `content`, the digest of the source's data; and `places`, the source's options that are
    locations. `train` and `reference` hold images and labels, `train` also `index`, the rows of its
    images in the source. `counts` has the columns class, name, available and train. `record` has
    the source's description, the skipped files and the digests of the other files.

    Raises:
        LtdmError: A class would be empty, or the source does not hold what it describes.
    """
    source = parse_part("source", {**request["source"], **request["places"]}, ("source",))
    tail = parse(LongTail, request["longtail"], ("longtail",))
    info = source.module.describe(source.options)
    if info.digest != request["content"]:
        raise LtdmError(
            f"the data of {source.name} changed since this began; run the command again"
        )
    loaded = source.module.load(source.options, "train")
    skipped, available = dict(loaded.skipped), _check_counts(loaded, info, source.name)
    train_counts = class_counts(tail, available)
    rows = select_subset(loaded.labels, train_counts, tail.subset_seed)
    write_npz(train, images=loaded.images[rows], labels=loaded.labels[rows], index=rows)
    split = request["reference_split"]
    if split != "train":
        shape = loaded.images.shape[1:]
        loaded = source.module.load(source.options, split)
        _check_same_shape(loaded, shape, len(available), f"the {split} split of {source.name}")
    write_npz(reference, images=loaded.images, labels=loaded.labels, about=np.array("{}"))
    table = {"class": range(len(available)), "name": info.names, "available": available}
    write_text(counts, pd.DataFrame({**table, "train": train_counts}).to_csv(index=False))
    digests = {path.name: sha256(path) for path in (train, reference, counts)}
    result = {"census": info.to_record(), "left_out": skipped, "sha256": digests}
    write_json(record, {**to_record(request), **result})


def _check_counts(loaded: SourceSplit, info: SourceInfo, name: str) -> list[int]:
    """Return the images per class; LtdmError unless they are as described, less skipped files."""
    for file, reason in loaded.skipped.items():
        log.info("left out %s: %s", file, reason)
    classes, expected = len(info.class_counts), sum(info.class_counts)
    available = np.bincount(loaded.labels, minlength=classes).tolist()
    if len(available) != classes or expected - sum(available) != len(loaded.skipped):
        raise LtdmError(
            f"source {name} holds {sum(available)} images in {len(available)} classes, not"
            f" {expected} in {classes}; its files are incomplete or of another version; fix them"
        )
    if 0 in available:
        empty = info.names[available.index(0)]
        raise LtdmError(f"no file of class {empty!r} of source {name} can be decoded; fix them")
    return available


def _check_same_shape(
    loaded: SourceSplit, shape: tuple[int, ...], classes: int, split_name: str
) -> None:
    """Raise LtdmError unless a reference has the training set's image shape and classes."""
    labels = np.unique(loaded.labels).tolist()
    if loaded.images.shape[1:] != shape or labels != list(range(classes)):
        raise LtdmError(
            f"{split_name} holds images of shape {loaded.images.shape[1:]} in {len(labels)}"
            f" classes, {labels[0]} to {labels[-1]}, but the training split {shape} in {classes}, 0"
            f" to {classes - 1}; both must be the same"
        )
