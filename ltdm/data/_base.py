"""What every source tells of itself before it is loaded, and what it gives when it is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np


class Census(NamedTuple):
    """What a source's training split holds, known without decoding it."""

    names: list[str]  # of the classes, in the order of their labels
    sizes: list[int]  # images of each class
    channels: int  # of an image; the dimensions of a point
    side: int  # height and width of an image, pixels; 1 for points
    content: str = ""  # digest that changes with the data; empty where the source is one fixed set
    points: bool = False  # whether it holds points instead of images

    @property
    def image_bytes(self) -> int:
        """Bytes of one image or point as it is stored."""
        return self.channels * self.side**2 * (4 if self.points else 1)


class Loaded(NamedTuple):
    """A split of a source in memory; its files that could not be decoded, each with the reason."""

    images: np.ndarray  # uint8, shape (N, C, H, W); points are float32, shape (N, d, 1, 1)
    labels: np.ndarray  # int64, shape (N,)
    left_out: Mapping[str, str] = MappingProxyType({})  # filled only where the config allows it


class SourceModule(Protocol):
    """What the file of a data source defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of who made the data; empty where there is nothing to cite."""

    @property
    def SPLITS(self) -> tuple[str, ...]:
        """The splits that `load` knows: "train", and "test" where the source has one."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s.

        They stand beside the long tail's keys in the config, and so bear other names than those.
        Whatever has no default says where the data lie, and is called `root` or `path`.
        """

    def census(self, options: Any) -> Census:
        """Return what the training split holds, without decoding it.

        Raises:
            OptionError: An option does not suit the data.
            LtdmError: The data cannot be read. Where that is from a FileNotFoundError, what was
                prepared earlier is used, if there is any.
        """

    def load(self, options: Any, split: str) -> Loaded:
        """Return a split's images and labels; of "train", as many of each class as promised.

        Raises:
            LtdmError: The data cannot be read.
        """


def numbered(classes: int) -> list[str]:
    """Return names for classes that have none."""
    return [f"class {c}" for c in range(classes)]
