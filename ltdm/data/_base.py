"""What every source tells of itself before it is loaded, and what it gives when it is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np


class Census(NamedTuple):
    """What a source's training split holds, told without decoding it.

    Attributes:
        names: The classes' names, in the order of their labels.
        sizes: Images of each class.
        channels: Channels of an image; the dimensions of a point.
        side: Height and width of an image, pixels; 1 for points.
        content: Digest that changes with the data; empty where the source is one fixed set.
        points: Whether it holds points instead of images.
    """

    names: list[str]
    sizes: list[int]
    channels: int
    side: int
    content: str = ""
    points: bool = False

    @property
    def image_bytes(self) -> int:
        """Bytes of one image or point as it is stored."""
        return self.channels * self.side**2 * (4 if self.points else 1)


class Loaded(NamedTuple):
    """A split of a source in memory.

    Attributes:
        images: uint8, shape (N, C, H, W); points are float32, shape (N, d, 1, 1).
        labels: int64, shape (N,).
        left_out: Files that could not be decoded, where the config allows that, with the reason.
    """

    images: np.ndarray
    labels: np.ndarray
    left_out: Mapping[str, str] = MappingProxyType({})


def numbered(classes: int) -> list[str]:
    """Return names for classes that have none."""
    return [f"class {c}" for c in range(classes)]
