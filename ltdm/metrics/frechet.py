"""Squared Frechet distance between Gaussians fitted to two sets of features; and its limit.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)        in float64

It is called FID only with the Inception features; for other extractors, tables give their name.
With few images for the number of features it is biased upward. Rows with fewer than ten images per
feature are flagged; their standard errors are too large, by up to a factor of two at one image per
feature. `frechet-infinity`, the limit for N -> inf, removes the bias that is linear in 1 / N: it
fits a line in 1 / N to the distances of the full set, its halves and its quarters, and takes its
value at 1 / N = 0. In flagged rows the bias is not linear and is overcorrected, so values may be
far below 0; compare them only between runs. It is negative too where the generated images are the
reference itself: parts of a finite set are nearer to it than new images are.

The limit is the sum of w_k times the mean distance over k parts, with w = 1, 1/2, -1/2 for k = 1,
2, 4, so an image's influence on it is the sum of w_k times its influence on the distance of its own
part of each k, and the standard error is the usual one. Far from 0 it is accurate. Where the true
distance is 0 the limit is a quadratic form of the parts' errors, whose variance the influences
overestimate by a factor of two: the error is too large by sqrt(2), and a value is rarely called
greater than 0 by chance.
Sources: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", NeurIPS 2017, equation 6; Chong and Forsyth, "Effectively Unbiased FID and Inception
Score and where to find them", CVPR 2020, section 4.

The square root of S1 S2 is not computed, so nothing becomes complex. With S1 = B^T B, its trace is
the sum of the square roots of the eigenvalues of B S2 B^T. If there are no more generated images
than features, it is the sum of the singular values of B A^T with S2 = A^T A: exact, and smaller.
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
INPUT = "features"
BLOCK_ROWS = 4096  # rows in float64 at a time
ERROR_SAMPLE = 5000  # images that the standard error is estimated from, if there are as many
EXTRAPOLATION_PARTS = (1, 2, 4)  # numbers of disjoint parts; 1 / N is then evenly spaced enough
PART_WEIGHTS = np.polynomial.polynomial.polyfit(EXTRAPOLATION_PARTS, np.eye(3), 1)[0]
"""The weights of the mean distances over parts in the fitted line's value at 1 / N = 0."""
UNBIASED_DISTANCES = ("frechet-infinity",)


@dataclass(frozen=True)
class Options:
    """Which set the extrapolation subdivides."""

    extrapolate: str = option(
        "generated",
        "Which images `frechet-infinity` extrapolates over: the generated ones, as in its paper, or"
        " both sets, which also removes the bias from a small reference.",
        choices=("generated", "both"),
    )


def min_images(options: Options) -> int:
    """Return the smallest number of images in a set: a variance needs two."""
    return 2


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the bias, which falls with d / n, is small for n images and d features."""
    return n >= 10 * d


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the squared distance between two sets of features, and its limit for N -> inf.

    The limit is NaN if a quarter of a set would have fewer than two images.
    """
    x, both = real.features, options.extrapolate == "both"
    return score_against(Gaussian(x), fake, x[_balanced_order(real.labels)] if both else None)


def score_against(
    reference: "Gaussian", fake: Sample, subdivided: np.ndarray | None = None
) -> dict[str, Estimate]:
    """Return what `score` does, from the Gaussian of the reference.

    `subdivided` is the reference's features, (N, d), if the limit is over both sets.
    """
    order = _balanced_order(fake.labels)
    y, labels = fake.features[order], fake.labels[order]
    sample = slice(None, None, max(1, len(y) // ERROR_SAMPLE))
    rows = np.arange(len(y))[sample]

    def estimate(value: float, influences: np.ndarray) -> Estimate:
        error = standard_error(influences, labels[sample]) * math.sqrt(len(rows) / len(y))
        return Estimate(value, error)

    fake_gaussian = Gaussian(y)
    matrix = product(reference, fake_gaussian)
    value = distance(reference, fake_gaussian, matrix)
    influences = influence(reference, fake_gaussian, y, sample, matrix)
    limit, x = Estimate(math.nan), subdivided
    if min(len(y), len(y) if x is None else len(x)) >= 2 * EXTRAPOLATION_PARTS[-1]:
        means, influences_of_means = [value], [influences]
        for k in EXTRAPOLATION_PARTS[1:]:
            references = [reference if x is None else Gaussian(x[j::k]) for j in range(k)]
            mean, part_influences = _mean_over_parts(references, y, rows)
            means.append(mean)
            influences_of_means.append(part_influences)
        intercept = float(np.polynomial.Polynomial.fit(EXTRAPOLATION_PARTS, means, 1)(0))
        limit = estimate(intercept, PART_WEIGHTS @ influences_of_means)
    return {"frechet": estimate(value, influences), "frechet-infinity": limit}


def _balanced_order(labels: np.ndarray) -> np.ndarray:
    """Return an order in which every k-th image is a proportional sample of each class, (N,)."""
    rng = np.random.default_rng(derive_seed("frechet parts"))
    return np.lexsort((rng.random(len(labels)), labels))


class Gaussian:
    """The Gaussian with the mean and covariance of features x (n, d), in float64.

    `mean` has shape (d,); `trace` is the covariance's. `covariance`, (d, d), is set if n > d. If
    not, `rows` is set instead: A = (x - mean) / sqrt(n - 1), (n, d), with A^T A the covariance.
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
        for start in range(0, n, BLOCK_ROWS):  # the set in float64 at once would double its memory
            block = x[start : start + BLOCK_ROWS] - self.mean
            self.covariance += block.T @ block
        self.covariance /= n - 1
        self.trace = np.trace(self.covariance)

    @classmethod
    def of_moments(cls, mean: np.ndarray, covariance: np.ndarray) -> "Gaussian":
        """Return the Gaussian with a mean (d,) and a covariance (d, d), both float64."""
        gaussian = cls.__new__(cls)
        gaussian.mean, gaussian.covariance, gaussian.rows = mean, covariance, None
        gaussian.trace = np.trace(covariance)
        return gaussian

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean (d,) and the covariance (d, d), float64."""
        covariance = self.covariance
        return self.mean, self.factor.T @ self.factor if covariance is None else covariance

    @cached_property
    def factor(self) -> np.ndarray:
        """A matrix B with B^T B the covariance, shape (n or d, d)."""
        if self.rows is not None:
            return self.rows
        try:
            return scipy.linalg.cholesky(self.covariance)
        except scipy.linalg.LinAlgError:  # singular
            values, vectors = scipy.linalg.eigh(self.covariance)
            return np.sqrt(values.clip(min=0))[:, None] * vectors.T


def _mean_over_parts(
    references: list[Gaussian], y: np.ndarray, rows: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the mean distance between k references and the k parts of y, and its influences.

    Part j is every k-th row of y from the j-th on. The influences are those of `rows`, row numbers
    of y, up to a constant; a sample of every tenth row may leave out some parts.
    """
    k, total, influences = len(references), 0.0, np.empty(len(rows))
    for j, reference in enumerate(references):
        part, own = Gaussian(y[j::k]), rows % k == j
        matrix = product(reference, part)
        total += distance(reference, part, matrix)
        if own.any():
            of_part = influence(reference, part, y[j::k], rows[own] // k, matrix)
            influences[own] = of_part - of_part.mean()  # its constant differs between parts
    return total / k, influences


def product(first: Gaussian, second: Gaussian) -> np.ndarray:
    """Return B A^T if the second Gaussian has rows A, else B S2 B^T."""
    if second.rows is not None:
        return first.factor @ second.rows.T
    return first.factor @ second.covariance @ first.factor.T


def distance(first: Gaussian, second: Gaussian, matrix: np.ndarray | None = None) -> float:
    """Return the squared Frechet distance between two Gaussians; `matrix` is their `product`."""
    matrix = product(first, second) if matrix is None else matrix
    if second.rows is not None:
        overlap = scipy.linalg.svdvals(matrix).sum()
    else:
        overlap = np.sqrt(scipy.linalg.eigvalsh(matrix).clip(min=0)).sum()
    shift = second.mean - first.mean
    return float(shift @ shift + first.trace + second.trace - 2 * overlap)


def influence(
    real: Gaussian,
    fake: Gaussian,
    y: np.ndarray,
    sample: slice | np.ndarray = slice(None),
    matrix: np.ndarray | None = None,
) -> np.ndarray:
    """Return the influence of the sampled rows of y (m, d) on the distance, shape (rows,).

    It is the derivative of the distance by the row's weight, with `real` fixed and `fake` the
    Gaussian of y. With T the optimal transport map from `fake` to `real` and u = row - m2, it is
    2 (m2 - m1).u + (u.u - u.T u) m / (m - 1), up to a constant. `matrix` is their `product`.
    """
    m, matrix = len(y), product(real, fake) if matrix is None else matrix
    if fake.rows is not None:
        _, values, vectors = scipy.linalg.svd(matrix, full_matrices=False)
        a, mapped = fake.rows[sample], values @ np.square(vectors[:, sample])
    else:
        a = (y[sample] - fake.mean) / np.sqrt(m - 1)
        values, vectors = scipy.linalg.eigh(matrix)
        nonzero = values > len(values) * np.finfo(float).eps * values[-1]
        basis = real.factor.T @ (vectors[:, nonzero] / values[nonzero] ** 0.25)
        mapped = np.square(a @ basis).sum(1)
    mean_part = 2 * np.sqrt(m - 1) * a @ (fake.mean - real.mean)
    return mean_part + m * (np.square(a).sum(1) - mapped)
