"""Improved precision and recall, density and coverage, from k-nearest-neighbour balls.

The ball of an image extends to its k-th neighbour in the same set, the image itself not counted.
`precision` is the share of generated images inside a real image's ball, `recall` the share of real
images inside a generated image's ball. `density` is the mean number of real balls around a
generated image, divided by k; `coverage` is the share of real images whose ball contains a
generated one. All depend on the number of images.
Sources: Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative
Models", NeurIPS 2019, equations 1 and 2; Naeem et al., "Reliable Fidelity and Diversity Metrics for
Generative Models", ICML 2020, equations 3 and 4.

Recall has no standard error: an image that is resampled twice would have a ball of radius 0.
"""

from dataclasses import dataclass

import numpy as np

from ltdm.metrics._base import Estimate, Sample, mean_estimate, standard_error
from ltdm.plumbing.options import option

CITATION = """@inproceedings{kynkaanniemi2019improved,
  title={Improved Precision and Recall Metric for Assessing Generative Models},
  author={Kynk{\\"a}{\\"a}nniemi, Tuomas and Karras, Tero and Laine, Samuli and Lehtinen, Jaakko and
    Aila, Timo}, booktitle={NeurIPS}, year={2019}}
@inproceedings{naeem2020reliable,
  title={Reliable Fidelity and Diversity Metrics for Generative Models},
  author={Naeem, Muhammad Ferjad and Oh, Seong Joon and Uh, Youngjung and Choi, Yunjey and
    Yoo, Jaejun}, booktitle={ICML}, year={2020}}"""
HIGHER_IS_BETTER = {"precision": True, "recall": True, "density": True, "coverage": True}
INPUT = "features"
HEADING_OPTIONS = ("k",)  # papers use 3 or 5, and every value depends on it
ENOUGH_IMAGES = 300  # with fewer images the balls are coarse: rows are flagged


@dataclass(frozen=True)
class Options:
    """Size of the balls."""

    k: int = option(
        3,
        "Neighbour whose distance is the radius of a ball: 5 in the codes of CBDM and IGD, 3 in"
        " CCUA's. Headings of tables show it.",
        low=1,
    )


def min_images(options: Options) -> int:
    """Return the smallest number of images in a set: k neighbours and the image itself."""
    return options.k + 1


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the balls of n images are small enough to follow the data."""
    return n >= ENOUGH_IMAGES


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the four values of the features."""
    # This imports PyTorch, which no other metric needs.
    from ltdm.metrics._knn_balls import count_members

    balls, m = count_members(real.features, fake.features, options.k), len(fake.features)
    # Leaving a generated image out uncovers the real images of whose balls it is the sole member.
    uncovered = np.bincount(balls.sole_member[balls.members == 1], minlength=m)
    coverage_influences = (m - 1) * uncovered / len(balls.members)
    coverage_error = standard_error(coverage_influences, fake.labels)
    return {
        "precision": mean_estimate((balls.real_balls > 0).astype(float), fake.labels),
        "recall": Estimate(float(balls.in_generated_ball.mean())),
        "density": mean_estimate(balls.real_balls / options.k, fake.labels),
        "coverage": Estimate(float((balls.members > 0).mean()), coverage_error),
    }
