"""Thirds of the classes by frequency: head, medium and tail."""

from collections.abc import Sequence

import numpy as np

THIRDS = ("head", "medium", "tail")


def thirds(class_counts: Sequence[int]) -> dict[str, list[int]]:
    """Return the classes of each third, by name; an empty one is left out.

    `class_counts` are training images per class. Thirds are contiguous in the order of falling
    counts; if the number of classes is not a multiple of three, the first ones are larger.
    """
    order = np.argsort(-np.asarray(class_counts), kind="stable")
    parts = zip(THIRDS, np.array_split(order, 3), strict=True)
    return {name: classes.tolist() for name, classes in parts if len(classes)}
