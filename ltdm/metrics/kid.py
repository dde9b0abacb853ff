"""Kernel distance: the unbiased squared MMD under k(x, y) = (x.y / d + 1)^3, meaned over subsets.

It is unbiased at any number of images, which the Frechet distance is not; it is called KID only
with the Inception features.
Source: Binkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4.
"""

from dataclasses import dataclass

import numpy as np

from ltdm.options import option
from ltdm.seeding import derive

CITATION = """@inproceedings{binkowski2018kid,
  title={Demystifying {MMD} {GAN}s},
  author={Bi{\\'n}kowski, Miko{\\l}aj and Sutherland, Danica J. and Arbel, Michael and
    Gretton, Arthur}, booktitle={ICLR}, year={2018}}"""
HIGHER_IS_BETTER = {"kid": False}


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


def score(real: np.ndarray, fake: np.ndarray, options: Options) -> dict[str, float]:
    """Return the distance between features (n, d) and (m, d)."""
    size = options.subset_size
    if len(real) <= size and len(fake) <= size:
        return {"kid": _mmd2(real, fake)}
    rng = np.random.default_rng(derive("kid"))

    def pick(x: np.ndarray) -> np.ndarray:
        return x[rng.choice(len(x), min(size, len(x)), replace=False)]

    return {"kid": float(np.mean([_mmd2(pick(real), pick(fake)) for _ in range(options.subsets)]))}


def _mmd2(x: np.ndarray, y: np.ndarray) -> float:
    within = sum(_mean_off_diagonal(_kernel(a, a)) for a in (x, y))
    return float(within - 2 * _kernel(x, y).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    affine = x @ y.T / x.shape[1] + 1
    return affine * affine * affine  # a power of floats takes ten times as long


def _mean_off_diagonal(k: np.ndarray) -> float:
    n = len(k)
    return float((k.sum() - np.trace(k)) / (n * (n - 1)))
