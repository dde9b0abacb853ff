"""Which classes a number is about: all, one, a third of them by frequency, or the worst one."""

import numpy as np

KINDS = ("all", "class", "thirds", "worst")
THIRDS = ("head", "medium", "tail")


def groups(class_counts: list[int], kinds: tuple[str, ...]) -> dict[str, list[int]]:
    """Return the classes of each group, without "worst", which follows from the classes.

    Thirds are contiguous in the order of falling training counts, the larger ones first where the
    classes do not divide by three.
    """
    order = np.argsort(-np.array(class_counts), kind="stable")
    found: dict[str, list[int]] = {}
    if "all" in kinds:
        found["all"] = order.tolist()
    if "thirds" in kinds:
        thirds = zip(THIRDS, np.array_split(order, 3), strict=True)
        found |= {name: part.tolist() for name, part in thirds if len(part)}
    if "class" in kinds or "worst" in kinds:
        found |= {f"class-{c}": [c] for c in range(len(class_counts))}
    return found
