"""Inception Score: exp of the mean KL(p(y|x) || p(y)) over ten splits of the generated images.

p(y|x) are Inception's 1008 class probabilities, from its last layer without the bias; p(y) is their
mean over a split. Images are first shuffled with a fixed seed, because samples are sorted by class.
The score uses no reference, and rises with the number of images. `inception-score-sd` is the
population standard deviation over the splits, which papers print after the plus-minus sign.
Source: Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 4. The
shuffle is that of the package torch-fidelity, so the scores are equal.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from ltdm.metrics._base import Estimate, Sample, standard_error
from ltdm.plumbing.options import option

CITATION = """@inproceedings{salimans2016improved,
  title={Improved Techniques for Training {GAN}s},
  author={Salimans, Tim and Goodfellow, Ian and Zaremba, Wojciech and Cheung, Vicki and
    Radford, Alec and Chen, Xi}, booktitle={NeurIPS}, year={2016}}"""
HIGHER_IS_BETTER = {"inception-score": True, "inception-score-sd": None}
INPUT = "imagenet"
SHUFFLE_SEED = 2020
ENOUGH_IMAGES = 5000  # with fewer images a split's p(y) is inaccurate: rows are flagged


@dataclass(frozen=True)
class Options:
    """The splits."""

    splits: int = option(10, "Number of splits that the score is the mean over.", low=1)


def min_images(options: Options) -> int:
    """Return the smallest number of images in a set: one per split."""
    return options.splits


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the bias is small for n images."""
    return n >= ENOUGH_IMAGES


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the score of the generated images, and its deviation; `real` is not used."""
    order = np.random.RandomState(SHUFFLE_SEED).permutation(len(fake.labels))
    p = fake.probabilities64()[order]
    cuts = np.arange(1, options.splits) * len(p) // options.splits
    divergences = [_divergence(part) for part in np.split(p, cuts)]
    scores = np.array([np.exp(kl.mean()) for kl in divergences])
    # The mean divergence is stationary in p(y), so a row's influence is as if p(y) were fixed.
    influences = np.concatenate([s * kl for s, kl in zip(scores, divergences, strict=True)])
    return {
        "inception-score": Estimate(
            float(scores.mean()), standard_error(influences, fake.labels[order])
        ),
        "inception-score-sd": Estimate(float(scores.std())),
    }


def _divergence(p: np.ndarray) -> np.ndarray:
    """Return KL(p_i || mean p) of each row of probabilities (n, K), shape (n,)."""
    return xlogy(p, p).sum(axis=1) - xlogy(p, p.mean(axis=0)).sum(axis=1)
