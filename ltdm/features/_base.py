"""What every feature extractor gives; its file's `PROBABILITIES` says what the classes are.

They are "imagenet" (the 1008 of the Inception network), "classes" (the data's own), or "" (none).
`RUNS_NETWORK` says whether a GPU is of use to it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Extracted(NamedTuple):
    """What an extractor makes of N images.

    Attributes:
        features: float32, shape (N, d).
        probabilities: float32, shape (N, K), each row sums to 1; None where there are no classes.
    """

    features: np.ndarray
    probabilities: np.ndarray | None = None


Extract = Callable[[np.ndarray], Extracted]
