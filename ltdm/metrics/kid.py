"""Kernel distance: the unbiased squared MMD under k(x, y) = (x.y / d + 1)^3, meaned over subsets.

It is unbiased at any number of images, which the Frechet distance is not; it is called KID only
with the Inception features.
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
READS = "features"


@dataclass(frozen=True)
class Options:
    """The subset estimator."""

    subsets: int = option(100, "Random subsets that the value is the mean of.", low=1)
    subset_size: int = option(
        1000,
        "Images of each set in a subset; a smaller set is taken whole, and both once if both are.",
        low=2,
    )


def least(options: Options) -> int:
    """Return the fewest images a set may have: the estimator sums over pairs."""
    return 2


def reliable(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the value is unbiased: always."""
    return True


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the distance between two sets of features."""
    size = options.subset_size
    whole = len(real.features) <= size and len(fake.features) <= size
    rng = np.random.default_rng(derive_seed("kid"))

    def pick(sample: Sample) -> Sample:
        n = len(sample.labels)
        rows = slice(None) if whole else rng.choice(n, min(size, n), replace=False)
        return Sample(sample.features[rows].astype(np.float64), sample.labels[rows])

    values, effects, labels = [], [], []
    for _ in range(1 if whole else options.subsets):
        x, y = pick(real), pick(fake)
        value, effect = _mmd2(x.features, y.features)
        values.append(value)
        effects.append(effect)
        labels.append(y.labels)
    error = standard_error(np.concatenate(effects), np.concatenate(labels))
    # A subset shows `each` of n images, some of them in several subsets. By so much the variance of
    # the mean over subsets is above that over all their effects:
    n, each = len(fake.labels), len(effects[0])
    error *= math.sqrt(len(values) * each / n + 1 - each / n)
    return {"kid": Estimate(float(np.mean(values)), error)}


def _mmd2(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the unbiased estimate, and the effect of each row of y on it, up to a constant."""
    own, among, between = _kernel(x, x), _kernel(y, y), _kernel(x, y).mean(axis=0)
    others = (among.sum(axis=0) - among.diagonal()) / (len(y) - 1)
    mean_own = (own.sum() - np.trace(own)) / (len(x) * (len(x) - 1))
    return float(mean_own + others.mean() - 2 * between.mean()), 2 * (others - between)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    affine = x @ y.T / x.shape[1] + 1
    return affine * affine * affine  # a power of floats takes ten times as long
