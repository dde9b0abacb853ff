"""The long-tailed subset of a balanced data set, as the papers' codes build it.

Class counts follow a profile from head to tail (class 0 is the head unless `class_order` is given).
Which images are kept is decided by one legacy numpy stream over the classes, so the subset is the
papers' own, image for image, for the same seed. No global generator is touched.
Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
NeurIPS 2019, section 4; CBDM and its successors use the same construction.
"""

import math
from dataclasses import dataclass

import numpy as np

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option


@dataclass(frozen=True)
class LongTail:
    """Shape of the tail."""

    profile: str = option(
        "exp",
        "Counts fall exponentially from head to tail (`exp`), in one step (`step`), are alike"
        " (`balanced`), as listed (`counts`), or all that the source has (`full`).",
        choices=("exp", "step", "balanced", "counts", "full"),
    )
    imbalance: float = option(
        0.01,
        "Imbalance factor, for `exp` and `step`: the last class's count over the first's.",
        above=0,
        high=1,
    )
    counts: tuple[int, ...] | None = option(
        None, "Images of each class, by label, for `profile: counts` only.", low=1
    )
    class_order: tuple[int, ...] | None = option(
        None, "Every class once, from head to tail; by label if left out.", low=0
    )
    max_per_class: int | None = option(None, "Most images of a class.", low=1)
    min_per_class: int = option(0, "Fewest images of a class, if the source has them.", low=0)
    subset_seed: int = option(
        0, "Seed of the choice of images; the papers use 0.", low=0, high=2**32 - 1
    )

    def __post_init__(self) -> None:
        if (self.profile == "counts") != (self.counts is not None):
            raise OptionError(("counts",), "goes with `profile: counts`, and each needs the other")
        if self.class_order is not None and self.profile not in ("exp", "step"):
            raise OptionError(("class_order",), f"has no meaning with `profile: {self.profile}`")
        if self.max_per_class is not None and self.max_per_class < self.min_per_class:
            raise OptionError(("max_per_class",), f"is below min_per_class ({self.min_per_class})")


def class_counts(options: LongTail, available: list[int]) -> list[int]:
    """Return how many images of each class are kept, of those that the source has of each.

    The profile starts from their mean, as in the papers, where all classes have the same number; a
    class that has fewer keeps what it has. Raises OptionError if one would be left without any, or
    a list does not fit the classes.
    """
    most, least = options.max_per_class or max(available), options.min_per_class
    wanted = zip(_target_counts(options, available), available, strict=True)
    kept = [min(max(n, least), most, a) for n, a in wanted]
    empty = [c for c, n in enumerate(kept) if n < 1]
    if empty:
        smallest = math.ceil(1e6 * len(available) / sum(available)) / 1e6
        raise OptionError(
            ("imbalance",),
            f"{options.imbalance:g} leaves no image of {len(empty)} of {len(kept)} classes"
            f" ({_ranges(empty)}); set min_per_class: 1, or take at least {smallest:.6g}",
        )
    return kept


def _target_counts(options: LongTail, available: list[int]) -> list[int]:
    """Return the counts that the profile asks for, by label, whatever there is."""
    classes = len(available)
    if options.counts is not None:
        _check_length("counts", options.counts, classes)
        for c, (n, a) in enumerate(zip(options.counts, available, strict=True)):
            if n > a:
                raise OptionError(("counts",), f"asks for {n} images of class {c}, which has {a}")
        return list(options.counts)
    if options.profile == "full":
        return list(available)
    most = sum(available) / classes
    if options.profile == "balanced":
        return [int(most)] * classes
    if options.profile == "exp":
        steps = max(classes - 1, 1)
        falling = [int(most * options.imbalance ** (rank / steps)) for rank in range(classes)]
    else:
        head = classes // 2
        falling = [int(most)] * head + [int(most * options.imbalance)] * (classes - head)
    order = list(options.class_order or range(classes))
    _check_length("class_order", order, classes)
    if sorted(order) != list(range(classes)):
        raise OptionError(("class_order",), f"must name each class from 0 to {classes - 1} once")
    return [falling[order.index(c)] for c in range(classes)]


def _ranges(numbers: list[int]) -> str:
    """Write rising numbers in short: `3, 81-99`."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True))


def _check_length(key: str, listed: tuple[int, ...] | list[int], classes: int) -> None:
    if len(listed) != classes:
        raise OptionError((key,), f"lists {len(listed)} classes, but the source has {classes}")


def select_subset(labels: np.ndarray, keep: list[int], seed: int) -> np.ndarray:
    """Return the positions kept, class by class, each class in its shuffled order.

    Labels are in the source's order; `keep` says how many to keep of each class.
    """
    stream, chosen = np.random.RandomState(seed), []
    for c, n in enumerate(keep):
        members = np.flatnonzero(labels == c)
        stream.shuffle(members)
        chosen.append(members[:n])
    return np.concatenate(chosen)
