"""Data source or reference -> the labelled images that the linear probe is tested on."""

import json
from pathlib import Path

import numpy as np

from ltdm.core.seeding import derive
from ltdm.data._held_out import held_out
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, sha256, write_json, write_npz
from ltdm.plumbing.registry import part
from ltdm.plumbing.request import Request, recorded

TEST_SHARE = 0.2


def run(request: Request, *, reference: Path, test: Path, record: Path) -> None:
    """Write `test` (.npz: images, labels, index, about), the same for all networks.

    It is the source's own test split where there is one; then `index` is empty. Otherwise it is a
    fifth of each class of the reference, and `index` has its rows there, which no probe may be
    trained on. `about` says which of the two it is. `request` has `source` as in the config;
    `content`, the digest of the source's data; and `places`, the source's options that say where it
    lies.

    Raises:
        LtdmError: The test split's images or classes are not the reference's.
    """
    source = part("source", {**request["source"], **request["places"]}, ("source",))
    images, labels = read_npz(reference, "images", "labels")
    index, kind = np.zeros(0, np.int64), "official"
    if "test" in source.module.SPLITS:
        shape, classes = images.shape[1:], np.unique(labels)
        images, labels, _ = source.module.load(source.options, "test")
        if images.shape[1:] != shape or not np.array_equal(np.unique(labels), classes):
            raise LtdmError(
                f"the test split of {source.name} holds images of shape {images.shape[1:]} in"
                f" {len(np.unique(labels))} classes, but {reference} {shape} in {len(classes)};"
                " both must be alike for a probe"
            )
    else:
        index, kind = held_out(labels, TEST_SHARE, derive("test split")), "held-out"
        images, labels = images[index], labels[index]
    about = np.array(json.dumps({"test": kind}))
    write_npz(test, images=images, labels=labels, index=index, about=about)
    written = {"test": kind, "reference": sha256(reference), "sha256": sha256(test)}
    write_json(record, {**recorded(request), **written})
