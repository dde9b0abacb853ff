"""Samples and their nearest training images -> a figure of the likeliest copies."""

from pathlib import Path

import numpy as np

from ltdm.core.image_files import read_image_file
from ltdm.metrics._groups import groups
from ltdm.metrics.memorization import nearest_ratio
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_npz
from ltdm.plumbing.request import Request
from ltdm.reporting import copies, style
from ltdm.reporting.rows import read_classes

KINDS = "fibi"
"""NumPy's kinds of the arrays of nearest images: squared distances, rows, mirrored, labels."""


def run(
    request: Request, *, train: Path, samples: Path, counts: Path, neighbours: Path, picture: Path
) -> None:
    """Write `picture` (PNG): panels for head, medium and tail, the likeliest copies on top.

    There is one panel of all images if there are no labels, fewer than three classes, or the same
    number of training images in each class.

    Raises:
        LtdmError: `neighbours` is not of these samples and training images.
    """
    train_images, images = (read_image_file(file).images for file in (train, samples))
    arrays = read_npz(neighbours, "features", "index", "mirrored", "labels")
    squared, rows, mirrored, labels = arrays
    with explain_read_errors(neighbours, "file of nearest images"):
        if not squared.shape == rows.shape == mirrored.shape == (len(labels), rows.shape[1]):
            raise ValueError("its arrays do not belong together")
        if "".join(array.dtype.kind for array in arrays) != KINDS:
            raise ValueError("its arrays are of other types")
    if len(rows) != len(images) or rows.max() >= len(train_images):
        raise LtdmError(f"{neighbours} is about other images; delete it and run again")
    class_counts = read_classes(counts)["train"].tolist()
    pairs = copies.Pairs(images, train_images, rows, mirrored, nearest_ratio(squared))
    unequal = len(class_counts) >= 3 and len(set(class_counts)) > 1
    classes_by_title = _classes_by_title(class_counts) if unequal and labels.max() >= 0 else {}
    plot, max_rows = copies.plot_points, copies.PANEL_POINTS
    if images.dtype == np.uint8:
        plot, max_rows = copies.plot_images, copies.PANEL_ROWS
    style.use()
    panels = copies.likeliest_copies(pairs.ratios, labels, classes_by_title, max_rows)
    style.save(plot(pairs, panels), picture)


def _classes_by_title(class_counts: list[int]) -> dict[str, list[int]]:
    """Return the classes of head, medium and tail, by a title with their training images."""
    by_title = {}
    for name, classes in groups(class_counts, ["thirds"]).items():
        counts = sorted({class_counts[c] for c in classes}, reverse=True)
        span = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        by_title[f"{name} ({span} per class in training)"] = classes
    return by_title
