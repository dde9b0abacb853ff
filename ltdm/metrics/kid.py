"""Kernel distance: the unbiased squared MMD of k(x, y) = (x.y / d + 1)^3, averaged over subsets.

Unlike the Frechet distance it is unbiased for any number of images. So it may be negative: for two
sets of one distribution about as often as not. Between a set and itself it is -2 / n times the
difference of the means of k(x, x) and of k(x, y) over pairs, as the sets share their images. It is
called KID only with the Inception features.
Source: Binkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4.
"""

import math
from dataclasses import dataclass

import numpy as np

from ltdm.core.seeding import derive_seed
from ltdm.metrics._base import Estimate, Sample, standard_error
from ltdm.plumbing.options import option

CITATION = """@inproceedings{binkowski2018kid,
  title={Demystifying {MMD} {GAN}s},
  author={Bi{\\'n}kowski, Miko{\\l}aj and Sutherland, Danica J. and Arbel, Michael and
    Gretton, Arthur}, booktitle={ICLR}, year={2018}}"""
HIGHER_IS_BETTER = {"kid": False}
INPUT = "features"
UNBIASED_DISTANCES = ("kid",)


@dataclass(frozen=True)
class Options:
    """The subset estimator."""

    subsets: int = option(100, "Number of random subsets that the value is the mean over.", low=1)
    subset_size: int = option(
        1000,
        "Images per set in a subset; a smaller set is used in full, and if both are, only once.",
        low=2,
    )


def min_images(options: Options) -> int:
    """Return the smallest number of images in a set: the estimator sums over pairs."""
    return 2


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the value is unbiased: always."""
    return True


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the distance between two sets of features."""
    size = options.subset_size
    single_subset = len(real.features) <= size and len(fake.features) <= size
    rng = np.random.default_rng(derive_seed("kid"))

    def draw_subset(sample: Sample) -> Sample:
        n = len(sample.labels)
        rows = slice(None) if single_subset else rng.choice(n, min(size, n), replace=False)
        return Sample(sample.features[rows].astype(np.float64), sample.labels[rows])

    values, influences, labels = [], [], []
    for _ in range(1 if single_subset else options.subsets):
        real_subset, fake_subset = draw_subset(real), draw_subset(fake)
        value, influence = _mmd2(real_subset.features, fake_subset.features)
        values.append(value)
        influences.append(influence)
        labels.append(fake_subset.labels)
    error = standard_error(np.concatenate(influences), np.concatenate(labels))
    # The same images recur in several subsets of m of n, so the variance of the mean over subsets
    # is larger than for independent images, by this factor:
    n, m = len(fake.labels), len(influences[0])
    error *= math.sqrt(len(values) * m / n + 1 - m / n)
    return {"kid": Estimate(float(np.mean(values)), error)}


def _mmd2(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the unbiased estimate, and the influence of each row of y on it, up to a constant."""
    k_xx, k_yy, k_xy = _kernel(x, x), _kernel(y, y), _kernel(x, y).mean(axis=0)
    row_means = (k_yy.sum(axis=0) - k_yy.diagonal()) / (len(y) - 1)
    mean_xx = (k_xx.sum() - np.trace(k_xx)) / (len(x) * (len(x) - 1))
    return float(mean_xx + row_means.mean() - 2 * k_xy.mean()), 2 * (row_means - k_xy)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return k of all pairs of rows of x (n, d) and y (m, d), shape (n, m)."""
    affine = x @ y.T / x.shape[1] + 1
    return affine * affine * affine  # ** 3 is ten times slower
