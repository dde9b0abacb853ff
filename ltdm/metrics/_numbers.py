"""What numbers features and their moments may hold, where a user brings them."""

import numpy as np

LARGEST = 1e15  # beyond it squares overflow in float32


def are_finite(array: np.ndarray) -> bool:
    """Whether an array holds floating-point numbers, all finite and below LARGEST; not if empty."""
    is_float = array.dtype.kind == "f" and array.size
    return bool(is_float and float(np.abs(array).max()) < LARGEST)
