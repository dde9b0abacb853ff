"""Memorisation: how many generated images are copies of images of the long-tailed training set.

Of a generated image, d_1 <= ... <= d_n are the squared distances, in pixels from 0 to 1, to its n
nearest training images of whatever class. Where one is far nearer than the others, it was learnt by
heart:

    r = d_1 / mean(d_1, ..., d_n)        l = sqrt(d_1) / (alpha mean(sqrt(d_1), ..., sqrt(d_n)))

`mq-0.40` is the number of images with r below 0.40 (MQ, the memorisation quantity),
`memorized-0.40` their share; likewise the other thresholds. `l2-ratio` is the mean of l, and
`extracted` the share of images with l below 1. A copy has r = l = 0, also where all n are copies.
A count grows with the number of generated images, a share does not. Both depend on how near the
training images of a class lie to each other (a near copy of one that is there n times is not
found), so compare runs, not classes or data sets, unless beside the `baseline`: the share of real
images of the reference for which the same would be said, though they are not in the training set,
each class counted as it is among the generated ones. What a network copies is what `memorized`
exceeds it by. It is empty where some class has no unseen image, as where all are trained on.

Groups are of generated images, and of the `n_real` unseen ones: each is compared with the whole
training set. A network that was trained with `augment: flip` also copies mirrored: take `flip`.
Sources: Liu et al., ECCV 2024, IET-AGC (counts, n = 50); Carlini et al., "Extracting Training Data
from Diffusion Models", USENIX Security 2023 (l, n = 50, alpha = 0.5).

Released code: IET-AGC's writes r into file names and reads it back, which loses exact copies. Here
they are counted.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ltdm.metrics._base import Estimate, Sample, mean_estimate
from ltdm.plumbing.options import option

CITATION = """@inproceedings{liu2024ietagc,
  title={Iterative Ensemble Training with Anti-Gradient Control for Mitigating Memorization in
         Diffusion Models},
  author={Liu, Xiao and Guan, Xiaoliu and Wu, Yu and Miao, Jiaxu},
  booktitle={ECCV}, year={2024}}
@inproceedings{carlini2023extracting,
  title={Extracting Training Data from Diffusion Models},
  author={Carlini, Nicholas and Hayes, Jamie and Nasr, Milad and Jagielski, Matthew and
    Sehwag, Vikash and Tram{\\`e}r, Florian and Balle, Borja and Ippolito, Daphne and
    Wallace, Eric}, booktitle={USENIX Security Symposium}, year={2023}}"""
THRESHOLDS = (0.15, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90)
HIGHER_IS_BETTER = {
    **{f"{name}-{t:.2f}": False for name in ("mq", "memorized") for t in THRESHOLDS},
    "l2-ratio": True, "extracted": False,
}  # fmt: skip
WITH_BASELINE = tuple(f"memorized-{t:.2f}" for t in THRESHOLDS)
INPUT = "neighbours"


@dataclass(frozen=True)
class Options:
    """What a generated image is compared with."""

    k: int = option(50, "Nearest training images, n.", low=2)
    alpha: float = option(0.5, "Share of the mean distance below which l calls a copy.", above=0)
    flip: bool = option(
        False, "Whether mirror images of training images count too, as `augment: flip` shows them."
    )


def search(options: Options) -> dict[str, Any]:
    """Return what decides which training images are found: arguments of `_nearest_train.nearest`."""
    return {"flip": options.flip, "k": options.k}


def min_images(options: Options) -> int:
    """Return the fewest images a set may have."""
    return 1


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the values are unbiased: always."""
    return True


def nearest_ratio(squared: np.ndarray) -> np.ndarray:
    """Return each image's r, from 0 to 1, of ascending squared distances (N, n)."""
    return _safe_ratio(squared[:, 0], squared.mean(axis=1))


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return counts and shares of copies.

    Features are ascending squared distances to the nearest training images: (M, n) of unseen real
    images, (N, n) of the generated ones.
    """
    r, unseen_r, distances = (
        nearest_ratio(fake.features),
        nearest_ratio(real.features),
        np.sqrt(fake.features),
    )
    l = _safe_ratio(distances[:, 0], options.alpha * distances.mean(axis=1))
    estimates = {"l2-ratio": mean_estimate(l, fake.labels)}
    estimates["extracted"] = mean_estimate((l < 1).astype(float), fake.labels)
    for t in THRESHOLDS:
        copied = (r < t).astype(float)
        share = mean_estimate(copied, fake.labels)
        baseline = reweighted_share(unseen_r < t, real.labels, fake.labels)
        estimates[f"memorized-{t:.2f}"] = share._replace(baseline=baseline)
        estimates[f"mq-{t:.2f}"] = Estimate(float(copied.sum()), len(copied) * share.error)
    return {name: estimates[name] for name in HIGHER_IS_BETTER}


def reweighted_share(flags: np.ndarray, flag_labels: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images of which something is true, in the classes' mix of others.

    `true`, bool, and `classes`, (M,), are of the images, `labels`, (N,), of the others; where these
    are -1, all images count the same. NaN where a class of the others has no image here.
    """
    classes, counts = np.unique(labels, return_counts=True)
    per_class = [flags[(flag_labels == c) | (c < 0)] for c in classes]
    if not all(len(rows) for rows in per_class):
        return math.nan
    return float(np.average([rows.mean() for rows in per_class], weights=counts))


def _safe_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return part / whole; 0 where both are."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
