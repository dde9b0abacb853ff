"""Improved precision and recall, density and coverage: who lies in whose neighbourhood.

An image's ball reaches to its k-th neighbour in its own set, the image itself not counted.
`precision` is the share of generated images inside some real image's ball, `recall` the share of
real images inside some generated image's ball. `density` is the mean number of real balls around a
generated image, over k; `coverage` the share of real images whose ball holds a generated one. All
depend on the number of images.
Sources: Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative
Models", NeurIPS 2019, equations 1 and 2; Naeem et al., "Reliable Fidelity and Diversity Metrics for
Generative Models", ICML 2020, equations 3 and 4.

Recall has no standard error: images drawn twice would have balls without extent.
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
ENOUGH_IMAGES = 300  # below this many images the balls are coarse: rows are flagged


@dataclass(frozen=True)
class Options:
    """Size of the neighbourhood."""

    k: int = option(3, "Neighbour whose distance is the radius; some papers take 5.", low=1)


def min_images(options: Options) -> int:
    """Return the fewest images a set may have: k neighbours and the image itself."""
    return options.k + 1


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether n images are enough for the balls to follow the data."""
    return n >= ENOUGH_IMAGES


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the four shares of the features."""
    from ltdm.metrics._knn_balls import count_members  # brings PyTorch, which no other metric needs

    membership, m = count_members(real.features, fake.features, options.k), len(fake.features)
    # Without a generated image, the real images are lost whose balls hold no other.
    influences = (
        (m - 1)
        * np.bincount(membership.sole_member[membership.members == 1], minlength=m)
        / len(membership.members)
    )
    return {
        "precision": mean_estimate((membership.real_balls > 0).astype(float), fake.labels),
        "recall": Estimate(float(membership.in_generated_ball.mean())),
        "density": mean_estimate(membership.real_balls / options.k, fake.labels),
        "coverage": Estimate(
            float((membership.members > 0).mean()), standard_error(influences, fake.labels)
        ),
    }
