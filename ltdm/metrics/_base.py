"""What every metric is given and what it says: arrays in, estimates out.

An estimate carries a standard error over the generated images: that of a bootstrap which draws them
anew, in its closed form. To first order a metric is a mean of one effect per image, so the
bootstrap's standard deviation is that of the effects over sqrt(n), with no draw made (the
infinitesimal jackknife). The reference is held fixed, and so is the number of images of each class.
Source: Efron, "Nonparametric standard errors and confidence intervals", Canadian Journal of
Statistics 1981.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import Part

READS = {
    "features": "features",
    "imagenet": "Inception's class probabilities (inception, random-inception)",
    "classes": "the probabilities of the data's classes (classifier)",
    "neighbours": "distances to the nearest training images, which no extractor gives",
}
PIXELS = "pixels"
"""The space of those distances."""


class Sample(NamedTuple):
    """What metrics see of a set of images; no probabilities where the extractor gives none."""

    features: np.ndarray  # float32, shape (N, d)
    labels: np.ndarray  # int64, shape (N,); -1 for no label
    probabilities: np.ndarray | None = None  # float32, shape (N, K), rows sum to 1

    def of(self, classes: Sequence[int]) -> "Sample":
        """Return the images of some classes."""
        rows = np.isin(self.labels, classes)
        if rows.all():
            return self
        return Sample._make(None if array is None else array[rows] for array in self)

    def known(self) -> np.ndarray:
        """Return the probabilities in float64, for metrics that are only given sets with them."""
        if self.probabilities is None:
            raise ValueError("this extractor gives no probabilities")
        return self.probabilities.astype(np.float64)


class Estimate(NamedTuple):
    """A value, and its standard error over the generated images; NaN where none is valid."""

    value: float
    error: float = math.nan


class MetricModule(Protocol):
    """What the file of a metric defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def HIGHER_IS_BETTER(self) -> Mapping[str, bool | None]:
        """The names of its values, and whether higher is better; None where neither is.

        No other metric has a value of that name, and a name holds no "@" and no ".".
        """

    @property
    def READS(self) -> str:
        """What it is given: a key of this file's `READS`."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s, none of which is called `label`."""

    def least(self, options: Any) -> int:
        """Return the fewest images a set may have; with fewer, all values are NaN."""

    def reliable(self, n: int, d: int, classes: int, options: Any) -> bool:
        """Whether n images are enough for d features and so many classes; if not, rows say so.

        n is the smaller set's size; the generated set's alone where `READS` is not "features".
        """

    def score(self, real: Sample, fake: Sample, options: Any) -> dict[str, Estimate]:
        """Return every value of `HIGHER_IS_BETTER` for the generated images of a group."""


class MetricModuleExtras(Protocol):
    """What it may define beside; it must define `search` where `READS` is "neighbours"."""

    @property
    def BASELINES(self) -> Mapping[str, str]:
        """Values, each with the one that says what it would be of real images. Without it: {}."""

    def search(self, options: Any) -> dict[str, Any]:
        """Return `k` and `flip` of `_nearest.nearest`: which images are looked for.

        The metric then has an option `k`, the number that is searched for.
        """


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
    """Raise OptionError for a metric that no extractor gives what it reads."""
    if not looks_up(metric) and not any(reads(metric, extractor) for extractor in extractors):
        what = READS[metric.module.READS]
        message = f"{metric.name} reads {what}, and none of `features` gives them"
        raise OptionError(("metrics",), message)


def title(metric: Part, name: str) -> str:
    """Return what tables call one of a metric's values: `recall`, or `pr5.recall` if labelled."""
    return f"{metric.custom_label}.{name}" if metric.custom_label else name


def standard_error(effects: np.ndarray, labels: np.ndarray) -> float:
    """Return the standard error of a mean of one effect per image, (N,), from their labels, (N,).

    Sample sets have a fixed number of images of each class, so classes that differ add nothing.
    """
    _, members = np.unique(labels, return_inverse=True)
    n, sizes = len(effects), np.bincount(members)
    if n <= len(sizes):
        return math.nan
    within = effects - (np.bincount(members, effects) / sizes)[members]
    return float(np.sqrt(np.square(within).sum() / (n - len(sizes)) / n))


def mean_of(effects: np.ndarray, labels: np.ndarray) -> Estimate:
    """Return a value that is the mean of one number per image."""
    return Estimate(float(effects.mean()), standard_error(effects, labels))
