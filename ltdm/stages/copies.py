"""Samples and their nearest training images -> a picture of the likeliest copies."""

from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.metrics._groups import groups
from ltdm.metrics.memorization import nearest_ratio
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
    (train_images,) = read_npz(train, "images")
    (images,) = read_npz(samples, "images")
    squared, index, mirrored, labels = read_npz(
        neighbours, "features", "index", "mirrored", "labels"
    )
    if len(index) != len(images) or index.max() >= len(train_images):
        raise LtdmError(f"{neighbours} is about other images; delete it and run again")
    with reading(counts):
        class_counts = pd.read_csv(counts)["train"].tolist()
    pairs = copies.Pairs(images, train_images, index, mirrored, nearest_ratio(squared))
    unequal = len(class_counts) >= 3 and len(set(class_counts)) > 1
    panels = _panel_classes(class_counts) if unequal and labels.max() >= 0 else {}
    pixels = images.dtype == np.uint8
    plot, max_rows = (
        (copies.plot_images, copies.PANEL_ROWS)
        if pixels
        else (copies.plot_points, copies.PANEL_POINTS)
    )
    style.use()
    style.save(
        plot(pairs, copies.likeliest_copies(pairs.ratios, labels, panels, max_rows)), picture
    )


def _panel_classes(class_counts: list[int]) -> dict[str, list[int]]:
    """Return the classes of head, medium and tail, by a title that tells their training images."""
    panels = {}
    for name, classes in groups(class_counts, ["thirds"]).items():
        panel_counts = sorted({class_counts[c] for c in classes}, reverse=True)
        count_range = (
            f"{panel_counts[0]} to {panel_counts[-1]}"
            if len(panel_counts) > 1
            else f"{panel_counts[0]}"
        )
        panels[f"{name} ({count_range} a class in training)"] = classes
    return panels
