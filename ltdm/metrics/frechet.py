"""Frechet distance between Gaussians fitted to two sets of features, in float64; and at N -> inf.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

It is FID with the Inception features only; every other extractor is named beside it. With few
images for its dimensions it is biased upward: rows with fewer than ten images a feature are
flagged, and their standard errors are too large, by up to twice at one image a feature.
`frechet-infinity` takes the bias away that is linear in 1 / N: the line through the distances of
the whole set, its halves and its quarters, at 1 / N = 0. In flagged rows the bias is no line and
more than all of it is taken away, so that values may be negative; compare them between runs alone.
It has no standard error of its own: seeds tell.
Sources: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", NeurIPS 2017, equation 6; Chong and Forsyth, "Effectively Unbiased FID and Inception
Score and where to find them", CVPR 2020, section 4.

No square root of a product is taken, so nothing turns complex. With S1 = B^T B, the trace is the
sum of the roots of the eigenvalues of B S2 B^T; where the generated images are no more than the
features, it is the sum of the singular values of B A^T, with S2 = A^T A, exact and smaller.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from ltdm.core.seeding import derive_seed
from ltdm.metrics._base import Estimate, Sample, standard_error
from ltdm.plumbing.citations import HEUSEL2017
from ltdm.plumbing.options import option

CITATION = (
    HEUSEL2017
    + """
@inproceedings{chong2020effectively,
  title={Effectively Unbiased {FID} and {I}nception Score and where to find them},
  author={Chong, Min Jin and Forsyth, David}, booktitle={CVPR}, year={2020}}"""
)
HIGHER_IS_BETTER = {"frechet": False, "frechet-infinity": False}
READS = "features"
BLOCK = 4096  # rows in float64 at once
SHOWN = 5000  # rows that the standard error is made from, where there are so many
PARTS = (1, 2, 4)  # into so many disjoint parts the sets are cut: 1 / N is evenly spread enough


@dataclass(frozen=True)
class Options:
    """What the extrapolation shrinks."""

    extrapolate: str = option(
        "generated",
        "What `frechet-infinity` takes fewer and fewer of: the generated images, as its paper does,"
        " or both sets, which also removes what a small reference adds.",
        choices=("generated", "both"),
    )


def least(options: Options) -> int:
    """Return the fewest images a set may have: a variance needs two."""
    return 2


def reliable(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether n images in d dimensions leave little of the bias, which falls with d / n."""
    return n >= 10 * d


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the squared distance between two sets of features, and its limit for many images.

    The limit is NaN where a quarter of a set would be less than two images.
    """
    order = _spread(fake.labels)
    x, y, labels = real.features, fake.features[order], fake.labels[order]
    whole, made = Gaussian(x), Gaussian(y)
    value = distance(whole, made)
    some = slice(None, None, max(1, len(y) // SHOWN))
    spread = standard_error(effects(whole, made, y, some), labels[some])
    error = spread * math.sqrt(len(labels[some]) / len(y))
    both = options.extrapolate == "both"
    x = x[_spread(real.labels)] if both else x
    limit = np.nan
    if min(len(y), len(x) if both else len(y)) >= 2 * PARTS[-1]:
        means = [value]
        for k in PARTS[1:]:
            pairs = ((Gaussian(x[j::k]) if both else whole, Gaussian(y[j::k])) for j in range(k))
            means.append(sum(distance(*pair) for pair in pairs) / k)
        limit = float(np.polynomial.Polynomial.fit(PARTS, means, 1)(0))
    return {"frechet": Estimate(value, error), "frechet-infinity": Estimate(limit)}


def _spread(labels: np.ndarray) -> np.ndarray:
    """Return an order in which every k-th image is a fair part of each class."""
    rng = np.random.default_rng(derive_seed("frechet parts"))
    return np.lexsort((rng.random(len(labels)), labels))


class Gaussian:
    """The Gaussian with the mean and covariance of features x (n, d), in float64.

    It holds its `covariance` (d, d) if n > d, else `rows`, A = (x - mean) / sqrt(n - 1), with A^T A
    the covariance; not both. `mean` is (d,), `trace` that of the covariance.
    """

    def __init__(self, x: np.ndarray):
        n, d = x.shape
        self.mean = x.mean(axis=0, dtype=np.float64)
        self.rows = self.covariance = None
        if n <= d:
            self.rows = (x - self.mean) / np.sqrt(n - 1)
            self.trace = np.square(self.rows).sum()
            return
        self.covariance = np.zeros((d, d))
        for start in range(0, n, BLOCK):  # a whole set in float64 would double its memory
            block = x[start : start + BLOCK] - self.mean
            self.covariance += block.T @ block
        self.covariance /= n - 1
        self.trace = np.trace(self.covariance)

    @cached_property
    def factor(self) -> np.ndarray:
        """Return some B with B^T B the covariance."""
        if self.rows is not None:
            return self.rows
        try:
            return scipy.linalg.cholesky(self.covariance)
        except scipy.linalg.LinAlgError:  # singular
            values, vectors = scipy.linalg.eigh(self.covariance)
            return np.sqrt(values.clip(min=0))[:, None] * vectors.T


def distance(one: Gaussian, other: Gaussian) -> float:
    """Return the squared Frechet distance of two Gaussians."""
    if other.rows is not None:
        overlap = scipy.linalg.svdvals(one.factor @ other.rows.T).sum()
    else:
        product = one.factor @ other.covariance @ one.factor.T
        overlap = np.sqrt(scipy.linalg.eigvalsh(product).clip(min=0)).sum()
    shift = other.mean - one.mean
    return float(shift @ shift + one.trace + other.trace - 2 * overlap)


def effects(one: Gaussian, other: Gaussian, y: np.ndarray, some: slice = slice(None)) -> np.ndarray:
    """Return what some rows of y (m, d) do to the distance: its derivatives by the rows' weights.

    `one` is held fixed, `other` is y's Gaussian. With T the optimal map from y's Gaussian to the
    other one and u = row - m2, it is 2 (m2 - m1).u + (u.u - u.T u) m / (m - 1), up to a constant.
    """
    m = len(y)
    if other.rows is not None:
        _, values, vectors = scipy.linalg.svd(one.factor @ other.rows.T, full_matrices=False)
        a, mapped = other.rows[some], values @ np.square(vectors[:, some])
    else:
        a = (y[some] - other.mean) / np.sqrt(m - 1)
        values, vectors = scipy.linalg.eigh(one.factor @ other.covariance @ one.factor.T)
        kept = values > len(values) * np.finfo(float).eps * values[-1]
        mapped = np.square(a @ (one.factor.T @ (vectors[:, kept] / values[kept] ** 0.25))).sum(1)
    along = 2 * np.sqrt(m - 1) * a @ (other.mean - one.mean)
    return along + m * (np.square(a).sum(1) - mapped)
