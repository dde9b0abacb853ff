"""Data source -> long-tailed training set and balanced reference, decoded once."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.data._base import Census, Loaded
from ltdm.data._longtail import LongTail, select
from ltdm.data._longtail import counts as shaped
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256, write_json, write_npz, write_text
from ltdm.plumbing.options import parse
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import Request, to_record

log = logging.getLogger("ltdm")


def run(request: Request, *, train: Path, reference: Path, counts: Path, record: Path) -> None:
    """Build one data set.

    `request` has `source` and `longtail` as in the config; `reference_split`, which metrics
    compare with; `content`, the digest of the source's data; and `places`, the source's options
    that say where it lies. `train` also holds `index`, the images' rows in the source; `counts` has
    the columns class, name, available, train; `record` says what was built from what, with digests.

    Raises:
        LtdmError: A class would be empty, or the source does not hold what it promised.
    """
    source = parse_part("source", {**request["source"], **request["places"]}, ("source",))
    tail = parse(LongTail, request["longtail"], ("longtail",))
    promised = source.module.census(source.options)
    if promised.content != request["content"]:
        raise LtdmError(
            f"the data of {source.name} changed since this began; run the command again"
        )
    loaded = source.module.load(source.options, "train")
    left_out, available = dict(loaded.left_out), _counted(loaded, promised, source.name)
    keep = shaped(tail, available)
    chosen = select(loaded.labels, keep, tail.subset_seed)
    write_npz(train, images=loaded.images[chosen], labels=loaded.labels[chosen], index=chosen)
    split = request["reference_split"]
    if split != "train":
        shape = loaded.images.shape[1:]
        loaded = source.module.load(source.options, split)
        _fits(loaded, shape, len(keep), f"the {split} split of {source.name}")
    write_npz(reference, images=loaded.images, labels=loaded.labels, about=np.array("{}"))
    rows = {"class": range(len(keep)), "name": promised.names, "available": available}
    write_text(counts, pd.DataFrame({**rows, "train": keep}).to_csv(index=False))
    digests = {path.name: sha256(path) for path in (train, reference, counts)}
    made = {"census": promised._asdict(), "left_out": left_out, "sha256": digests}
    write_json(record, {**to_record(request), **made})


def _counted(loaded: Loaded, promised: Census, name: str) -> list[int]:
    """Return the images of each class, if they are what the source promised."""
    for file, reason in loaded.left_out.items():
        log.info("left out %s: %s", file, reason)
    available = np.bincount(loaded.labels, minlength=len(promised.sizes)).tolist()
    missing = sum(promised.sizes) - sum(available)
    if len(available) != len(promised.sizes) or missing != len(loaded.left_out):
        raise LtdmError(
            f"source {name} holds {sum(available)} images in {len(available)} classes, not"
            f" {sum(promised.sizes)} in {len(promised.sizes)}; its files are incomplete or of"
            " another version"
        )
    if 0 in available:
        empty = promised.names[available.index(0)]
        raise LtdmError(f"no file of class {empty!r} of source {name} can be decoded; fix them")
    return available


def _fits(loaded: Loaded, shape: tuple[int, ...], classes: int, what: str) -> None:
    """Refuse a reference whose images or classes are not the training set's."""
    found = np.unique(loaded.labels).tolist()
    if loaded.images.shape[1:] != shape or found != list(range(classes)):
        raise LtdmError(
            f"{what} holds images of shape {loaded.images.shape[1:]} in {len(found)} classes, but"
            f" the training split {shape} in {classes}; both must be alike"
        )
