"""Data source -> long-tailed training set and balanced reference, decoded once."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.data._longtail import LongTail, counts, select
from ltdm.errors import LtdmError
from ltdm.files import write_npz, writing
from ltdm.options import parse
from ltdm.registry import part


def run(source: dict[str, Any], longtail: dict[str, Any], *, train: Path, reference: Path,
        table: Path) -> None:  # fmt: skip
    """Write `train` and `reference` (.npz: images uint8 NCHW, labels) and `table` (counts.csv).

    Raises:
        LtdmError: A class would be empty, or the source does not hold what it promises.
    """
    origin = part("source", source, ("source",))
    tail = parse(LongTail, longtail, ("longtail",))
    images, labels = origin.module.load(origin.options)
    available = np.bincount(labels).tolist()
    promised = origin.module.sizes(origin.options)
    if available != promised:
        raise LtdmError(
            f"source {origin.name} holds {available} images a class, expected {promised};"
            " its files are incomplete or of another version"
        )
    keep = counts(tail, available)
    chosen = select(labels, keep, tail.seed)
    write_npz(train, images=images[chosen], labels=labels[chosen], index=chosen)
    write_npz(reference, images=images, labels=labels, about=np.array("{}"))
    rows = {"class": range(len(keep)), "available": available, "train": keep}
    with writing(table) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
