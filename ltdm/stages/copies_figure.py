"""Samples and their nearest training images -> a picture of the likeliest copies."""

from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.metrics._groups import groups
from ltdm.metrics.memorization import ratios
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, reading
from ltdm.plumbing.request import Request
from ltdm.reporting import copies, style


def run(
    request: Request, *, train: Path, samples: Path, counts: Path, neighbours: Path, picture: Path
) -> None:
    """Write `picture` (PNG): a panel for head, medium and tail, the likeliest copies on top.

    Where there are no labels, fewer than three classes, or as many images of each, it has one panel
    of all.

    Raises:
        LtdmError: The files are of different images.
    """
    (known,) = read_npz(train, "images")
    (images,) = read_npz(samples, "images")
    squared, index, mirrored, labels = read_npz(
        neighbours, "features", "index", "mirrored", "labels"
    )
    if len(index) != len(images) or index.max() >= len(known):
        raise LtdmError(f"{neighbours} is about other images; delete it and run again")
    with reading(counts):
        class_counts = pd.read_csv(counts)["train"].tolist()
    pairs = copies.Pairs(images, known, index, mirrored, ratios(squared))
    uneven = len(class_counts) >= 3 and len(set(class_counts)) > 1
    parts = _parts(class_counts) if uneven and labels.max() >= 0 else {}
    pixels = images.dtype == np.uint8
    draw, most = (copies.pictures, copies.ROWS) if pixels else (copies.points, copies.MOST_POINTS)
    style.use()
    style.save(draw(pairs, copies.worst(pairs.ratios, labels, parts, most)), picture)


def _parts(class_counts: list[int]) -> dict[str, list[int]]:
    """Return the classes of head, medium and tail, by a title that tells their training images."""
    found = {}
    for name, classes in groups(class_counts, ["thirds"]).items():
        held = sorted({class_counts[c] for c in classes}, reverse=True)
        reach = f"{held[0]} to {held[-1]}" if len(held) > 1 else f"{held[0]}"
        found[f"{name} ({reach} a class in training)"] = classes
    return found
