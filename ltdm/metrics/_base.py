"""What every metric is given and what it says: arrays in, estimates out.

An estimate carries a standard error over the generated images: that of a bootstrap which draws them
anew, in its closed form. To first order a metric is a mean of one effect an image, so the
bootstrap's standard deviation is that of the effects over sqrt(n), with no draw made (the
infinitesimal jackknife). The reference is held fixed, and so is the number of images of each class.
Source: Efron, "Nonparametric standard errors and confidence intervals", Canadian Journal of
Statistics 1981.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ltdm.errors import OptionError
from ltdm.registry import Part

READS = {
    "features": "features",
    "imagenet": "Inception's class probabilities (inception, random-inception)",
    "classes": "the probabilities of the data's classes (classifier)",
    "neighbours": "distances to the nearest training images, which no extractor gives",
}
PIXELS = "pixels"
"""The space of those distances."""


class Sample(NamedTuple):
    """What metrics see of a set of images.

    Attributes:
        features: float32, shape (N, d).
        labels: int64, shape (N,); -1 for no label.
        probabilities: float32, shape (N, K), rows sum to 1; None where the extractor gives none.
    """

    features: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray | None = None

    def of(self, classes: Sequence[int]) -> "Sample":
        """Return the images of some classes."""
        rows = np.isin(self.labels, classes)
        if rows.all():
            return self
        picked = None if self.probabilities is None else self.probabilities[rows]
        return Sample(self.features[rows], self.labels[rows], picked)

    def known(self) -> np.ndarray:
        """Return the probabilities in float64, for metrics that are only given sets with them."""
        if self.probabilities is None:
            raise ValueError("this extractor gives no probabilities")
        return self.probabilities.astype(np.float64)


class Estimate(NamedTuple):
    """A value, and its standard error over the generated images; NaN where none is valid."""

    value: float
    error: float = math.nan


def reads(metric: Part, extractor: Part) -> bool:
    """Whether an extractor gives what a metric reads."""
    return metric.module.READS in ("features", extractor.module.PROBABILITIES)


def looks_up(metric: Part) -> bool:
    """Whether a metric reads the nearest training images, and nothing of any extractor.

    Samples then have squared distances as features, ascending, float64 (N, n); the real images are
    those of the reference that are not in the training set. The module's `search` says how they
    are found.
    """
    return bool(metric.module.READS == "neighbours")


def check_fed(metric: Part, extractors: Sequence[Part]) -> None:
    """Refuse a metric that no extractor gives what it reads.

    Raises:
        OptionError: It is one.
    """
    if not looks_up(metric) and not any(reads(metric, extractor) for extractor in extractors):
        what = READS[metric.module.READS]
        message = f"{metric.name} reads {what}, and none of `features` gives them"
        raise OptionError(("metrics",), message)


def title(metric: Part, name: str) -> str:
    """Return what tables call one of a metric's values: `recall`, or `pr5.recall` if labelled."""
    return f"{metric.own_label}.{name}" if metric.own_label else name


def standard_error(effects: np.ndarray, labels: np.ndarray) -> float:
    """Return the standard error of a mean of one effect an image.

    Args:
        effects: Shape (N,).
        labels: Shape (N,). Sample sets have a fixed number of images of each class, so classes
            that differ add nothing to it.
    """
    _, members = np.unique(labels, return_inverse=True)
    n, sizes = len(effects), np.bincount(members)
    if n <= len(sizes):
        return math.nan
    within = effects - (np.bincount(members, effects) / sizes)[members]
    return float(np.sqrt(np.square(within).sum() / (n - len(sizes)) / n))


def mean_of(effects: np.ndarray, labels: np.ndarray) -> Estimate:
    """Return a value that is the mean of one number an image."""
    return Estimate(float(effects.mean()), standard_error(effects, labels))
