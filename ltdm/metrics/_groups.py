"""Groups of classes that a value is about: all, each class, thirds or shots by frequency, worst."""

from collections.abc import Sequence

import numpy as np

from ltdm.core.thirds import thirds

KINDS = ("all", "class", "thirds", "shots", "worst")
SHOTS = ("many-shot", "medium-shot", "few-shot")


def groups(
    class_counts: list[int], kinds: Sequence[str], shots: Sequence[int] = ()
) -> dict[str, list[int]]:
    """Return the classes of each group, by name; "worst" is left out, for it needs the values.

    `class_counts` are training images per class. Thirds are those of `ltdm.core.thirds`. Shots are
    bounded by the counts themselves: many-shot has more than shots[0] training images, few-shot
    fewer than shots[1]; an empty shot is left out.
    """
    counts = np.array(class_counts)
    order = np.argsort(-counts, kind="stable")
    members: dict[str, list[int]] = {}
    if "all" in kinds:
        members["all"] = order.tolist()
    if "thirds" in kinds:
        members |= thirds(class_counts)
    if "shots" in kinds:
        many, few = counts[order] > shots[0], counts[order] < shots[1]
        masks = zip(SHOTS, (many, ~many & ~few, few), strict=True)
        members |= {name: order[mask].tolist() for name, mask in masks if mask.any()}
    if "class" in kinds or "worst" in kinds:
        members |= {f"class-{c}": [c] for c in range(len(class_counts))}
    return members
