"""The long-tailed subset of a balanced data set, as the papers' codes build it.

Class counts follow a profile of the class number (class 0 is the head); which images are kept is
decided by one legacy numpy stream over the classes, so the subset is the papers' own, image for
image, for the same seed. No global generator is touched.
Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
NeurIPS 2019, section 4; CBDM and its successors use the same construction.
"""

import math
from dataclasses import dataclass

import numpy as np

from ltdm.errors import LtdmError
from ltdm.options import option


@dataclass(frozen=True)
class LongTail:
    """Shape of the tail."""

    profile: str = option(
        "exp",
        "Counts fall exponentially with the class number, in one step, or not at all.",
        choices=("exp", "step", "balanced"),
    )
    imbalance: float = option(
        0.01,
        "Imbalance factor: the last class's count over the first's.",
        above=0,
        high=1,
    )
    seed: int = option(0, "Seed of the choice of images; the papers use 0.", low=0, high=2**32 - 1)


def counts(options: LongTail, available: list[int]) -> list[int]:
    """Return how many images of each class are kept.

    Args:
        options: The profile.
        available: Images of each class in the source. The profile starts from their mean, as in
            the papers, where all classes are alike; a class that has fewer keeps what it has.

    Raises:
        LtdmError: A class would be left without an image.
    """
    classes = len(available)
    most = sum(available) / classes
    if options.profile == "exp":
        steps = max(classes - 1, 1)
        wanted = [int(most * options.imbalance ** (c / steps)) for c in range(classes)]
    elif options.profile == "step":
        head = classes // 2
        wanted = [int(most)] * head + [int(most * options.imbalance)] * (classes - head)
    else:
        wanted = list(available)
    empty = [c for c, n in enumerate(wanted) if n < 1]
    if empty:
        smallest = math.ceil(1e6 / most) / 1e6
        some = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise LtdmError(
            f"imbalance {options.imbalance:g} leaves no image of {len(empty)} of {classes} classes"
            f" ({some}); the smallest imbalance that keeps one each is {smallest:.6g}"
        )
    return [min(n, a) for n, a in zip(wanted, available, strict=True)]


def select(labels: np.ndarray, keep: list[int], seed: int) -> np.ndarray:
    """Return the positions kept, class by class, each class in its shuffled order.

    Args:
        labels: int64, shape (N,), in the source's order.
        keep: Images to keep of each class.
        seed: Seed of the stream.
    """
    stream = np.random.RandomState(seed)
    chosen = []
    for c, n in enumerate(keep):
        members = np.flatnonzero(labels == c)
        stream.shuffle(members)
        chosen.append(members[:n])
    return np.concatenate(chosen)
