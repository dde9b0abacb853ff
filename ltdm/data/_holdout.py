"""A stratified hold-out: the same fraction of the images of each class."""

import numpy as np


def stratified_holdout(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return the held-out rows, int64, ascending: `fraction` (0 to 1) of the images of each class.

    `labels` is int64 (N,), and `seed` owns the random choice. The number of rows per class is
    rounded; a class of two or more images has at least one row held out and at least one left.
    """
    rng, rows = np.random.default_rng(seed), []
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        number = max(round(fraction * len(members)), 1)
        rows.append(members[: min(number, len(members) - 1)])
    return np.sort(np.concatenate(rows))
