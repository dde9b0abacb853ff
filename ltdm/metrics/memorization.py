"""Memorisation: generated images that are copies of images of the long-tailed training set.

For a generated image, d_1 <= ... <= d_n are the squared distances, of pixels in [0, 1], to its n
nearest training images of any class. If one of them is much nearer than the others, the image
counts as memorised:

    r = d_1 / mean(d_1, ..., d_n)        l = sqrt(d_1) / (alpha mean(sqrt(d_1), ..., sqrt(d_n)))

`mq-0.40` is the number of images with r < 0.40 (MQ, the memorisation quantity), `memorized-0.40`
their share; the other thresholds likewise. `l2-ratio` is the mean of l, `extracted` the share of
images with l < 1. A copy has r = l = 0, even if all n neighbours are copies. A count grows with the
number of generated images, a share does not.

Both depend on how near the training images of a class are to each other: a near copy of an image
that occurs n times is not found. So compare runs, not classes or data sets, except relative to the
`baseline` of `memorized`. It is the same share for real images of the reference that are not in the
training set, with the class proportions of the generated images. The excess of `memorized` over it
is due to copying. It is NaN if some class has no such image, as when all images are trained on.

Groups consist of generated images, and of the `n_real` real images outside the training set; each
image is compared with the full training set. A network trained with `augment: flip` also copies
mirror images: set `flip`.
Sources: Liu et al., ECCV 2024, IET-AGC (counts, n = 50); Carlini et al., "Extracting Training Data
from Diffusion Models", USENIX Security 2023 (l, n = 50, alpha = 0.5).

Released code: IET-AGC's writes r into file names and parses them again, which loses exact copies.
Here they are counted.
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
    "l2-ratio": True,
    "extracted": False,
}
WITH_BASELINE = tuple(f"memorized-{t:.2f}" for t in THRESHOLDS)
INPUT = "neighbours"


@dataclass(frozen=True)
class Options:
    """The neighbour search, and the threshold of l."""

    k: int = option(50, "Number of nearest training images, n.", low=2)
    alpha: float = option(
        0.5, "Share of the mean distance below which l counts an image as a copy.", above=0
    )
    flip: bool = option(
        False, "Whether mirror images of training images count too, as `augment: flip` trains them."
    )


def search(options: Options) -> dict[str, Any]:
    """Return the arguments of `_nearest_train.find_nearest` that the options set."""
    return {"flip": options.flip, "k": options.k}


def min_images(options: Options) -> int:
    """Return the smallest number of images in a set."""
    return 1


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the values are unbiased: always."""
    return True


def nearest_ratio(squared: np.ndarray) -> np.ndarray:
    """Return r in [0, 1] of each image, (N,), from ascending squared distances, (N, n)."""
    return _safe_ratio(squared[:, 0], squared.mean(axis=1))


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return counts and shares of copies.

    Features are ascending squared distances to the nearest training images: (M, n) of real images
    outside the training set, (N, n) of the generated ones.
    """
    r, real_r = nearest_ratio(fake.features), nearest_ratio(real.features)
    distances = np.sqrt(fake.features)
    l2_ratio = _safe_ratio(distances[:, 0], options.alpha * distances.mean(axis=1))
    estimates = {
        "l2-ratio": mean_estimate(l2_ratio, fake.labels),
        "extracted": mean_estimate((l2_ratio < 1).astype(float), fake.labels),
    }
    for t in THRESHOLDS:
        copies = (r < t).astype(float)
        share = mean_estimate(copies, fake.labels)
        baseline = reweighted_share(real_r < t, real.labels, fake.labels)
        estimates[f"memorized-{t:.2f}"] = share._replace(baseline=baseline)
        estimates[f"mq-{t:.2f}"] = Estimate(float(copies.sum()), len(copies) * share.error)
    return {name: estimates[name] for name in HIGHER_IS_BETTER}


def reweighted_share(flags: np.ndarray, flag_labels: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of true `flags`, reweighted to the class proportions of other images.

    `flags`, bool, and `flag_labels` have shape (M,). `labels`, (N,), are those of the other images;
    where they are -1, all flags have the same weight. NaN if a class of `labels` has no flag.
    """
    classes, counts = np.unique(labels, return_counts=True)
    flags_by_class = [flags[(flag_labels == c) | (c < 0)] for c in classes]
    if not all(len(class_flags) for class_flags in flags_by_class):
        return math.nan
    shares = [class_flags.mean() for class_flags in flags_by_class]
    return float(np.average(shares, weights=counts))


def _safe_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return numerator / denominator; 0 where both are 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
