"""Inception Score: exp of the mean KL(p(y|x) || p(y)) over ten splits of the generated images.

p(y|x) are Inception's 1008 class probabilities, its last layer without bias; p(y) is their mean
over a split. Images are shuffled with a fixed seed first, since samples come sorted by class. The
score knows no reference, and rises with the number of images. `inception-score-sd` is the
population standard deviation over the splits, which papers print behind the plus-minus.
Source: Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 4. The
shuffle is that of the package torch-fidelity, so that scores are equal.
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
SHUFFLE = 2020
ENOUGH_IMAGES = 5000  # below this many images a split's p(y) is rough: rows are flagged


@dataclass(frozen=True)
class Options:
    """The splits."""

    splits: int = option(10, "Parts that the score is the mean over.", low=1)


def min_images(options: Options) -> int:
    """Return the fewest images a set may have: one per split."""
    return options.splits


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether n images leave little of the bias."""
    return n >= ENOUGH_IMAGES


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the score of the generated images; the real ones are not looked at."""
    order = np.random.RandomState(SHUFFLE).permutation(len(fake.labels))
    p = fake.probabilities64()[order]
    cuts = np.arange(1, options.splits) * len(p) // options.splits
    divergences = [_divergence(part) for part in np.split(p, cuts)]
    scores = np.array([np.exp(kl.mean()) for kl in divergences])
    # p(y) is where the mean divergence is smallest, so a row moves the score as if it were fixed.
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
