"""The long-tailed subset of a data set, built as in the released codes of the papers.

The class counts follow a profile from head to tail; class 0 is the head unless `class_order` is
set. One legacy numpy stream shuffles the classes in turn, so for the same seed the subset is the
papers' own, image by image. The global generator of numpy is not used.
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
    """Class counts of the long-tailed training set."""

    profile: str = option(
        "exp",
        "Class counts from head to tail: exponential decay (`exp`), one step (`step`), all equal"
        " (`balanced`), listed (`counts`), or all images of the source (`full`).",
        choices=("exp", "step", "balanced", "counts", "full"),
    )
    imbalance: float = option(
        0.01,
        "Imbalance factor of `exp` and `step`: count of the last class over that of the first.",
        above=0,
        high=1,
    )
    counts: tuple[int, ...] | None = option(
        None, "Images per class, in the order of the labels; only for `profile: counts`.", low=1
    )
    class_order: tuple[int, ...] | None = option(
        None, "Each label once, from head to tail; by default in ascending order.", low=0
    )
    max_per_class: int | None = option(None, "Upper limit of images per class.", low=1)
    min_per_class: int = option(
        0, "Lower limit of images per class, as far as the source has them.", low=0
    )
    subset_seed: int = option(
        0, "Seed of the choice of images; the papers use 0.", low=0, high=2**32 - 1
    )

    def __post_init__(self) -> None:
        if (self.profile == "counts") != (self.counts is not None):
            raise OptionError(("counts",), "goes with `profile: counts`, and each needs the other")
        if self.class_order is not None and self.profile not in ("exp", "step"):
            message = f"has no meaning with `profile: {self.profile}`; leave it out"
            raise OptionError(("class_order",), message)
        if self.max_per_class is not None and self.max_per_class < self.min_per_class:
            raise OptionError(("max_per_class",), f"is below min_per_class ({self.min_per_class})")


def class_counts(options: LongTail, available: list[int]) -> list[int]:
    """Return the images per class of the subset; `available` are those of the source.

    The head's count is the mean of `available`; in the papers all classes have that number. A class
    with fewer images than its target keeps all of them.

    Raises:
        OptionError: A class would be empty, or a list does not suit the classes.
    """
    upper, lower = options.max_per_class or max(available), options.min_per_class
    targets = zip(_target_counts(options, available), available, strict=True)
    counts = [min(max(target, lower), upper, limit) for target, limit in targets]
    empty = [c for c, n in enumerate(counts) if n < 1]
    if empty:
        smallest = math.ceil(1e6 * len(available) / sum(available)) / 1e6
        raise OptionError(
            ("imbalance",),
            f"{options.imbalance:g} leaves no image of {len(empty)} of {len(counts)} classes"
            f" ({_format_ranges(empty)}); set min_per_class: 1, or take at least {smallest:.6g}",
        )
    return counts


def _target_counts(options: LongTail, available: list[int]) -> list[int]:
    """Return the profile's images per class, by label; for `exp` and `step` without limits.

    `exp`: floor(n r^(k / (C - 1))) for rank k = 0 .. C - 1, mean count n and imbalance factor r.
    `step`: floor(n) for the first half of the ranks, rounded down, and floor(n r) for the others.
    """
    classes = len(available)
    if options.counts is not None:
        _check_length("counts", options.counts, classes)
        for c, (n, limit) in enumerate(zip(options.counts, available, strict=True)):
            if n > limit:
                message = f"requests {n} images of class {c}, which has {limit}; lower it"
                raise OptionError(("counts",), message)
        return list(options.counts)
    if options.profile == "full":
        return list(available)
    head_count = sum(available) / classes
    if options.profile == "balanced":
        return [int(head_count)] * classes
    if options.profile == "exp":
        steps = max(classes - 1, 1)
        by_rank = [int(head_count * options.imbalance ** (rank / steps)) for rank in range(classes)]
    else:
        head = classes // 2
        tail_count = int(head_count * options.imbalance)
        by_rank = [int(head_count)] * head + [tail_count] * (classes - head)
    order = list(options.class_order or range(classes))
    _check_length("class_order", order, classes)
    if sorted(order) != list(range(classes)):
        raise OptionError(("class_order",), f"must name each class from 0 to {classes - 1} once")
    return [by_rank[order.index(c)] for c in range(classes)]


def _format_ranges(numbers: list[int]) -> str:
    """Return ascending numbers in short, such as `3, 81-99`."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True))


def _check_length(key: str, values: tuple[int, ...] | list[int], classes: int) -> None:
    """Raise OptionError at `key` unless there is one value per class."""
    if len(values) != classes:
        raise OptionError((key,), f"lists {len(values)} classes, but the source has {classes}")


def select_subset(labels: np.ndarray, counts: list[int], seed: int) -> np.ndarray:
    """Return the subset's rows, int64 (sum of `counts`,), class by class in shuffled order.

    `labels` is int64 (N,), in the source's order, on which the result depends; `counts` are the
    images per class.
    """
    stream, rows = np.random.RandomState(seed), []
    for c, n in enumerate(counts):
        members = np.flatnonzero(labels == c)
        stream.shuffle(members)
        rows.append(members[:n])
    return np.concatenate(rows)
