"""Which classes a number is about: all, one, a part of them by frequency, or the worst one."""

from collections.abc import Sequence

import numpy as np

KINDS = ("all", "class", "thirds", "shots", "worst")
THIRDS = ("head", "medium", "tail")
SHOTS = ("many-shot", "medium-shot", "few-shot")


def groups(
    class_counts: list[int], kinds: Sequence[str], shots: Sequence[int] = ()
) -> dict[str, list[int]]:
    """Return the classes of each group, without "worst", which follows from the classes.

    Thirds are contiguous in the order of falling training counts, the larger ones first where the
    classes do not divide by three. Shots are cut by the counts themselves: more than shots[0]
    training images, fewer than shots[1], or between; an empty one is left out.
    """
    counts = np.array(class_counts)
    order = np.argsort(-counts, kind="stable")
    members: dict[str, list[int]] = {}
    if "all" in kinds:
        members["all"] = order.tolist()
    if "thirds" in kinds:
        parts = zip(THIRDS, np.array_split(order, 3), strict=True)
        members |= {name: classes.tolist() for name, classes in parts if len(classes)}
    if "shots" in kinds:
        many, few = counts[order] > shots[0], counts[order] < shots[1]
        masks = zip(SHOTS, (many, ~many & ~few, few), strict=True)
        members |= {name: order[classes].tolist() for name, classes in masks if classes.any()}
    if "class" in kinds or "worst" in kinds:
        members |= {f"class-{c}": [c] for c in range(len(class_counts))}
    return members
