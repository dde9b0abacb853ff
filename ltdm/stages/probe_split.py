"""Data source or reference -> the labelled test images of the linear probe."""

import json
from pathlib import Path

import numpy as np

from ltdm.core.image_files import read_image_file
from ltdm.core.seeding import derive_seed
from ltdm.data._holdout import stratified_holdout
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256, write_json, write_npz
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import Request, to_record

TEST_SHARE = 0.2
"""The share of each class of the reference, where the source has no test split."""


def run(request: Request, *, reference: Path, test: Path, record: Path) -> None:
    """Write `test` (.npz: images, labels, index, about), the same for all networks.

    The test images are the source's own test split if it has one; then `index` is empty. Otherwise
    they are a fifth of each class of the reference; `index` holds their rows in it, on which no
    probe may be trained. `about` (JSON) says which: `test` is "official" or "held-out". `request`
    has `source` as in the config; `content`, the digest of the source's data; and `places`, the
    source's options that say where its files lie.

    Raises:
        LtdmError: The test split has images of another shape, or other classes, than the reference.
    """
    source = parse_part("source", {**request["source"], **request["places"]}, ("source",))
    images, labels, *_ = read_image_file(reference)
    index, kind = np.zeros(0, np.int64), "official"
    if "test" in source.module.SPLITS:
        shape, classes = images.shape[1:], np.unique(labels)
        images, labels, _ = source.module.load(source.options, "test")
        if images.shape[1:] != shape or not np.array_equal(np.unique(labels), classes):
            raise LtdmError(
                f"the test split of {source.name} holds images of shape {images.shape[1:]} in"
                f" {len(np.unique(labels))} classes, but {reference} {shape} in {len(classes)};"
                " a probe needs the same in both"
            )
    else:
        index, kind = stratified_holdout(labels, TEST_SHARE, derive_seed("test split")), "held-out"
        images, labels = images[index], labels[index]
    about = np.array(json.dumps({"test": kind}))
    write_npz(test, images=images, labels=labels, index=index, about=about)
    result = {"test": kind, "reference": sha256(reference), "sha256": sha256(test)}
    write_json(record, {**to_record(request), **result})
