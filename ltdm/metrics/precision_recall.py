"""Improved precision and recall: shares of one set inside the other's k-nearest-neighbour balls.

Precision is the share of generated images that lie in some real image's ball, recall the share of
real images in some generated image's ball; a ball's radius is the distance to the k-th neighbour of
the same set, the image itself not counted. Both depend on the number of images.
Source: Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models",
NeurIPS 2019, equations 1 and 2.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from ltdm.options import option

CITATION = """@inproceedings{kynkaanniemi2019improved,
  title={Improved Precision and Recall Metric for Assessing Generative Models},
  author={Kynk{\\"a}{\\"a}nniemi, Tuomas and Karras, Tero and Laine, Samuli and Lehtinen, Jaakko and
    Aila, Timo}, booktitle={NeurIPS}, year={2019}}"""
HIGHER_IS_BETTER = {"precision": True, "recall": True}
BLOCK = 1000  # rows of distances held at once
FEW = 300  # below this many images the balls are coarse: rows are flagged


@dataclass(frozen=True)
class Options:
    """Size of the neighbourhood."""

    k: int = option(3, "Neighbour whose distance is the radius; some papers take 5.", low=1)


def least(options: Options) -> int:
    """Return the fewest images a set may have: k neighbours and the image itself."""
    return options.k + 1


def reliable(n: int, d: int, options: Options) -> bool:
    """Whether n images are enough for the balls to follow the data."""
    return n >= FEW


def score(real: np.ndarray, fake: np.ndarray, options: Options) -> dict[str, float]:
    """Return precision and recall of features `fake` (m, d) against `real` (n, d)."""
    return {
        "precision": _share_inside(fake, real, _radii(real, options.k)),
        "recall": _share_inside(real, fake, _radii(fake, options.k)),
    }


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """Return each point's distance to its k-th neighbour in the same set."""
    rows = (cdist(x[i : i + BLOCK], x) for i in range(0, len(x), BLOCK))
    return np.concatenate([np.partition(r, k, axis=1)[:, k].copy() for r in rows])


def _share_inside(points: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> float:
    """Return the share of points strictly inside some ball."""
    blocks = (points[i : i + BLOCK] for i in range(0, len(points), BLOCK))
    return float(np.concatenate([(cdist(b, centres) < radii).any(axis=1) for b in blocks]).mean())
