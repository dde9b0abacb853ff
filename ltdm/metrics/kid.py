"""Kernel distance: the unbiased squared MMD under k(x, y) = (x.y / d + 1)^3, meaned over subsets.

It is unbiased at any number of images, which the Frechet distance is not; it is called KID only
with the Inception features.
Source: Binkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4.
"""

from dataclasses import dataclass

import numpy as np

from ltdm.metrics._base import Estimate, Sample, standard_error
from ltdm.options import option
from ltdm.seeding import derive

CITATION = """@inproceedings{binkowski2018kid,
  title={Demystifying {MMD} {GAN}s},
  author={Bi{\\'n}kowski, Miko{\\l}aj and Sutherland, Danica J. and Arbel, Michael and
    Gretton, Arthur}, booktitle={ICLR}, year={2018}}"""
HIGHER_IS_BETTER = {"kid": False}
READS = "features"


@dataclass(frozen=True)
class Options:
    """The subset estimator."""

    subsets: int = option(100, "Random subsets that the value is the mean of.", low=1)
    subset_size: int = option(
        1000,
        "Images of each set in a subset; smaller sets are taken whole, once.",
        low=2,
    )


def least(options: Options) -> int:
    """Return the fewest images a set may have: the estimator sums over pairs."""
    return 2


def reliable(n: int, d: int, options: Options) -> bool:
    """Whether the value is unbiased: always."""
    return True


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the distance between two sets of features."""
    size = options.subset_size
    whole = len(real.features) <= size and len(fake.features) <= size
    rng = np.random.default_rng(derive("kid"))

    def pick(x: np.ndarray) -> np.ndarray:
        rows = slice(None) if whole else rng.choice(len(x), min(size, len(x)), replace=False)
        return x[rows].astype(np.float64)

    drawn = [_mmd2(pick(real.features), pick(fake.features))
             for _ in range(1 if whole else options.subsets)]  # fmt: skip
    effects = np.concatenate([effects for _, effects in drawn])
    error = standard_error(effects) * np.sqrt(len(effects) / len(fake.features))
    return {"kid": Estimate(float(np.mean([value for value, _ in drawn])), float(error))}


def _mmd2(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the unbiased estimate, and the effect of each row of y on it, up to a constant."""
    among, between = _kernel(y, y), _kernel(x, y).mean(axis=0)
    others = (among.sum(axis=0) - among.diagonal()) / (len(y) - 1)
    value = _mean_off_diagonal(_kernel(x, x)) + others.mean() - 2 * between.mean()
    return float(value), 2 * (others - between)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    affine = x @ y.T / x.shape[1] + 1
    return affine * affine * affine  # a power of floats takes ten times as long


def _mean_off_diagonal(k: np.ndarray) -> float:
    n = len(k)
    return float((k.sum() - np.trace(k)) / (n * (n - 1)))
