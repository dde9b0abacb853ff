"""Blocks of a fixed size, so that a row's result does not depend on how many rows came with it.

Matrix products of different heights may sum in different orders. With every call of one shape, an
image comes out the same to the bit on the CPU, alone or among others.
"""

from collections.abc import Iterator

import numpy as np


def fixed_blocks(rows: int, size: int, start: int = 0) -> Iterator[tuple[np.ndarray, int]]:
    """Yield positions `start` ... `rows` - 1 in blocks of `size`, and how many of them are new.

    The last block is filled up by repeating the last position.
    """
    for first in range(start, rows, size):
        block = np.minimum(np.arange(first, first + size), rows - 1)
        yield block, min(size, rows - first)
