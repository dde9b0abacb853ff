"""Images that are kept apart, the same share of each class."""

import numpy as np


def stratified_holdout(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return the rows of a share of each class, rising; some, but not all, of two images or more.

    `labels` is int64 (N,), `seed` owns the draw; the share is rounded to whole images of a class.
    """
    rng, rows = np.random.default_rng(seed), []
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        number = max(round(share * len(members)), 1)
        rows.append(members[: min(number, len(members) - 1)])
    return np.sort(np.concatenate(rows))
