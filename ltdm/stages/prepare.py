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
from ltdm.plumbing.registry import part
from ltdm.plumbing.request import Request, recorded

log = logging.getLogger("ltdm")


def run(request: Request, *, train: Path, reference: Path, counts: Path, record: Path) -> None:
    """Build one data set.

    `request` has `source` and `longtail` as in the config; `reference_split`, which metrics
    compare with; `content`, the digest of the source's data; and `places`, the source's options
    that say where it lies. `train` also holds `index`, the images' rows in the source; `counts` has
    the columns class, name, available, train; `record` says what was built from what, with digests.

    Raises:
        LtdmError: A class would be empty, or the source does not hold what it expected.
    """
    source = part("source", {**request["source"], **request["places"]}, ("source",))
    tail = parse(LongTail, request["longtail"], ("longtail",))
    expected = source.module.describe(source.options)
    if expected.digest != request["content"]:
        raise LtdmError(
            f"the data of {source.name} changed since this began; run the command again"
        )
    loaded = source.module.load(source.options, "train")
    left_out, available = dict(loaded.skipped), _check_counts(loaded, expected, source.name)
    keep = class_counts(tail, available)
    chosen = select_subset(loaded.labels, keep, tail.subset_seed)
    write_npz(train, images=loaded.images[chosen], labels=loaded.labels[chosen], index=chosen)
    split = request["reference_split"]
    if split != "train":
        shape = loaded.images.shape[1:]
        loaded = source.module.load(source.options, split)
        _check_same_shape(loaded, shape, len(keep), f"the {split} split of {source.name}")
    write_npz(reference, images=loaded.images, labels=loaded.labels, about=np.array("{}"))
    rows = {"class": range(len(keep)), "name": expected.names, "available": available}
    write_text(counts, pd.DataFrame({**rows, "train": keep}).to_csv(index=False))
    digests = {path.name: sha256(path) for path in (train, reference, counts)}
    made = {"census": expected.to_record(), "left_out": left_out, "sha256": digests}
    write_json(record, {**recorded(request), **made})


def _check_counts(loaded: SourceSplit, expected: SourceInfo, name: str) -> list[int]:
    """Return the images of each class, if they are what the source expected."""
    for file, reason in loaded.skipped.items():
        log.info("left out %s: %s", file, reason)
    available = np.bincount(loaded.labels, minlength=len(expected.class_counts)).tolist()
    missing = sum(expected.class_counts) - sum(available)
    if len(available) != len(expected.class_counts) or missing != len(loaded.skipped):
        raise LtdmError(
            f"source {name} holds {sum(available)} images in {len(available)} classes, not"
            f" {sum(expected.class_counts)} in {len(expected.class_counts)}; its files are incomplete or of"
            " another version"
        )
    if 0 in available:
        empty = expected.names[available.index(0)]
        raise LtdmError(f"no file of class {empty!r} of source {name} can be decoded; fix them")
    return available


def _check_same_shape(loaded: SourceSplit, shape: tuple[int, ...], classes: int, what: str) -> None:
    """Refuse a reference whose images or classes are not the training set's."""
    found = np.unique(loaded.labels).tolist()
    if loaded.images.shape[1:] != shape or found != list(range(classes)):
        raise LtdmError(
            f"{what} holds images of shape {loaded.images.shape[1:]} in {len(found)} classes, but"
            f" the training split {shape} in {classes}; both must be alike"
        )
