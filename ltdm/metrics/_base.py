"""Protocol of a metric: features of real and generated images in, estimates with errors out.

The standard error of an estimate is over the generated images. It is the bootstrap's (images are
resampled with replacement, class by class) in closed form: to first order a metric is a mean of one
influence value per image, so the standard error is the standard deviation of these values over
sqrt(n), without any resampling (infinitesimal jackknife). The reference and the number of images
per class are held fixed.
Source: Efron, "Nonparametric standard errors and confidence intervals", Canadian Journal of
Statistics 1981.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import suggest
from ltdm.plumbing.registry import Part

INPUTS = {
    "features": "features",
    "imagenet": "Inception's class probabilities (inception, random-inception)",
    "classes": "the probabilities of the data's classes (classifier)",
    "neighbours": "distances to the nearest training images, which no extractor gives",
}
"""What a metric can read, with its description for error messages."""
PIXELS = "pixels"
"""The column `extractor` of metrics that use nearest training images."""


class Sample(NamedTuple):
    """Features of a set of N images."""

    features: np.ndarray  # float32, shape (N, d)
    labels: np.ndarray  # int64, shape (N,); -1 for an image without a label
    probabilities: np.ndarray | None = None  # float32, shape (N, K), rows sum to 1; if available

    def of_classes(self, classes: Sequence[int]) -> "Sample":
        """Return the images of these classes."""
        rows = np.isin(self.labels, classes)
        return self if rows.all() else self.select(rows)

    def select(self, rows: np.ndarray) -> "Sample":
        """Return the images of a mask of shape (N,)."""
        return Sample._make(None if array is None else array[rows] for array in self)

    def probabilities64(self) -> np.ndarray:
        """Return the probabilities in float64, shape (N, K).

        Raises:
            ValueError: There are none.
        """
        if self.probabilities is None:
            raise ValueError("this extractor gives no probabilities")
        return self.probabilities.astype(np.float64)


class Estimate(NamedTuple):
    """A value of a metric; whatever is not available is NaN."""

    value: float
    error: float = math.nan  # standard error over the generated images
    baseline: float = math.nan  # the same value for real images that were not trained on


class MetricModule(Protocol):
    """Names that a metric's file must define."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty if there is nothing to cite."""

    @property
    def HIGHER_IS_BETTER(self) -> Mapping[str, bool | None]:
        """Names of the metric's values, and whether higher is better; None if neither is.

        A name is unique over all metrics and contains neither "@" nor ":".
        """

    @property
    def INPUT(self) -> str:
        """What the metric reads: a key of `INPUTS`."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s; none may have the name `label` or `extractor`."""

    def min_images(self, options: Any) -> int:
        """Return the smallest number of images in a set; with fewer, all values are NaN."""

    def enough_images(self, n: int, d: int, classes: int, options: Any) -> bool:
        """Whether n images of `classes` classes suffice for d features; if not, rows note it.

        n is the size of the smaller set; of the generated set if `INPUT` is not "features".
        """

    def score(self, real: Sample, fake: Sample, options: Any) -> dict[str, Estimate]:
        """Return every value of `HIGHER_IS_BETTER` for the generated images of a group."""


class MetricModuleExtras(Protocol):
    """Names that a metric's file may define; `search` is required if `INPUT` is "neighbours"."""

    @property
    def WITH_BASELINE(self) -> Sequence[str]:
        """Names of the values whose estimates have a `baseline`. Default: ()."""

    @property
    def UNBIASED_DISTANCES(self) -> Sequence[str]:
        """Names of the values that estimate a distance without bias, so they may be negative.

        A value that is not significantly greater than 0 is noted. Default: ().
        """

    @property
    def HEADING_OPTIONS(self) -> Sequence[str]:
        """Names of the options that headings of tables and figures show, as `k = 5`. Default: ().

        They are those that papers set differently. Their values are numbers or words, and have
        defaults.
        """

    def search(self, options: Any) -> dict[str, Any]:
        """Return the arguments `k` and `flip` of `_nearest_train.find_nearest`.

        The metric must have an option `k`, the number of neighbours.
        """


def accepts(metric: Part, extractor: Part) -> bool:
    """Whether a metric is computed with an extractor: it can read it, and names no other."""
    readable = metric.module.INPUT in ("features", extractor.module.PROBABILITIES)
    return readable and metric.extractor in ("", extractor.label)


def uses_neighbours(metric: Part) -> bool:
    """Whether a metric reads the nearest training images instead of an extractor's features.

    The features of its samples are squared distances, ascending, float64 (N, k), and its real
    images are those of the reference that are not in the training set. The `search` of its module
    gives the settings of the neighbour search.
    """
    return bool(metric.module.INPUT == "neighbours")


def check_inputs(metric: Part, extractors: Sequence[Part]) -> None:
    """Raise OptionError if a metric can read the output of none of the extractors, or its own."""
    description, labels = INPUTS[metric.module.INPUT], [part.label for part in extractors]
    message = f"{metric.name} reads {description}"
    if uses_neighbours(metric):
        if not metric.extractor:
            return
        message = f"{message}; take its extractor {metric.extractor!r} out"
    elif any(accepts(metric, extractor) for extractor in extractors):
        return
    elif not metric.extractor:
        message = f"{message}, and none of `extractors` gives them; add one"
    elif metric.extractor in labels:
        message = (
            f"{message}, and its extractor {metric.extractor!r} does not give them; name another"
        )
    else:
        hint = suggest(metric.extractor, labels)
        message = f"{metric.name}: `extractors` has no {metric.extractor!r}; {hint}"
    raise OptionError(("metrics",), message)


def value_name(metric: Part, name: str) -> str:
    """Return a value's name in tables: `recall`, or `pr5.recall` for a metric labelled `pr5`."""
    return f"{metric.custom_label}.{name}" if metric.custom_label else name


def standard_error(influences: np.ndarray, labels: np.ndarray) -> float:
    """Return the standard error of a mean of one influence value per image.

    `influences` and `labels` have shape (N,). Sample sets have a fixed number of images per class,
    so differences between classes add no error. It is NaN if no class has two images.
    """
    _, members = np.unique(labels, return_inverse=True)
    n, sizes = len(influences), np.bincount(members)
    if n <= len(sizes):
        return math.nan
    within = influences - (np.bincount(members, influences) / sizes)[members]
    return float(np.sqrt(np.square(within).sum() / (n - len(sizes)) / n))


def mean_estimate(values: np.ndarray, labels: np.ndarray) -> Estimate:
    """Return the mean of one value per image, (N,), with its standard error."""
    return Estimate(float(values.mean()), standard_error(values, labels))
