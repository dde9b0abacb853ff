"""What every source tells of itself before it is loaded, and what it gives when it is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

RECORD_KEYS = ("names", "sizes", "channels", "side", "content", "points")
"""The keys of a `SourceInfo` in data.json, in the order of its fields."""


class SourceInfo(NamedTuple):
    """What a source's training split holds, known without decoding it."""

    names: list[str]  # of the classes, in the order of their labels
    class_counts: list[int]  # images of each class
    channels: int  # of an image; the dimensions of a point
    resolution: int  # height and width of an image, pixels; 1 for points
    digest: str = ""  # digest that changes with the data; empty where the source is one fixed set
    points: bool = False  # whether it holds points instead of images

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "SourceInfo":
        """Return what `to_record` wrote."""
        return cls(*(record[key] for key in RECORD_KEYS if key in record))

    def to_record(self) -> dict[str, Any]:
        """Return the fields under the keys that records have."""
        return dict(zip(RECORD_KEYS, self, strict=True))

    @property
    def image_bytes(self) -> int:
        """Bytes of one image or point as it is stored."""
        return self.channels * self.resolution**2 * (4 if self.points else 1)


class SourceSplit(NamedTuple):
    """A split of a source in memory; its files that could not be decoded, each with the reason."""

    images: np.ndarray  # uint8, shape (N, C, H, W); points are float32, shape (N, d, 1, 1)
    labels: np.ndarray  # int64, shape (N,)
    skipped: Mapping[str, str] = MappingProxyType({})  # filled only where the config allows it


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

    def describe(self, options: Any) -> SourceInfo:
        """Return what the training split holds, without decoding it.

        Raises:
            OptionError: An option does not suit the data.
            LtdmError: The data cannot be read. Where that is from a FileNotFoundError, what was
                prepared earlier is used, if there is any.
        """

    def load(self, options: Any, split: str) -> SourceSplit:
        """Return a split's images and labels; of "train", as many of each class as promised.

        Raises:
            LtdmError: The data cannot be read.
        """


def default_class_names(classes: int) -> list[str]:
    """Return names for classes that have none."""
    return [f"class {c}" for c in range(classes)]
