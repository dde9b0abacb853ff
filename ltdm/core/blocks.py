"""Blocks of fixed size, so that a row's result does not depend on how many rows are computed.

Matrix products of different heights may sum in different orders. If every call has the same shape,
an image's result on the CPU is the same to the bit, whichever other images are computed with it.
"""

from collections.abc import Iterator

import numpy as np


def fixed_blocks(rows: int, size: int, start: int = 0) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the positions `start` ... `rows` - 1 in blocks of `size`, each with its number of rows.

    The last block is padded to `size` by repeating the last position; the number counts the rows
    without this padding.
    """
    for first in range(start, rows, size):
        block = np.minimum(np.arange(first, first + size), rows - 1)
        yield block, min(size, rows - first)
