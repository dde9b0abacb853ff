"""The interface of a data source, what it says before it is loaded, and what loading returns."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

RECORD_KEYS = ("names", "sizes", "channels", "side", "content", "points")
"""The keys of a `SourceInfo` in data.json, in the order of its fields."""


class SourceInfo(NamedTuple):
    """Contents of a source's training split, known without decoding it."""

    names: list[str]  # of the classes, in the order of their labels
    class_counts: list[int]  # images per class
    channels: int  # per image; for points their dimension d
    resolution: int  # height and width of an image in pixels; 1 for points
    digest: str = ""  # changes with the data; empty for a source that is one fixed data set
    points: bool = False  # whether the source holds points instead of images

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "SourceInfo":
        """Return the info that `to_record` wrote."""
        return cls(*(record[key] for key in RECORD_KEYS if key in record))

    def to_record(self) -> dict[str, Any]:
        """Return the fields under their keys in data.json."""
        return dict(zip(RECORD_KEYS, self, strict=True))

    @property
    def image_bytes(self) -> int:
        """Bytes per stored image or point."""
        return self.channels * self.resolution**2 * (4 if self.points else 1)


class SourceSplit(NamedTuple):
    """A split of a source in memory."""

    images: np.ndarray  # uint8, shape (N, C, H, W); points are float32, shape (N, d, 1, 1)
    labels: np.ndarray  # int64, shape (N,)
    skipped: Mapping[str, str] = MappingProxyType({})
    """The files that could not be decoded, with the reasons; empty unless the config allows it."""


class SourceModule(Protocol):
    """The names that the file of a data source must define."""

    @property
    def CITATION(self) -> str:
        """BibTeX of the data's source; empty where there is nothing to cite."""

    @property
    def SPLITS(self) -> tuple[str, ...]:
        """The splits that `load` can return: "train", and "test" where the source has one."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s.

        In a config they stand beside the keys of the long tail, so their names must differ from
        those. An option without a default says where the data lie; it is called `root` or `path`.
        """

    def describe(self, options: Any) -> SourceInfo:
        """Describe the training split without decoding it.

        Raises:
            OptionError: An option does not suit the data.
            LtdmError: The data cannot be read. If it is raised from a FileNotFoundError, the data
                that were prepared earlier are used, if there are any.
        """

    def load(self, options: Any, split: str) -> SourceSplit:
        """Return the images and labels of a split.

        The split "train" has the class counts that `describe` returned, less the skipped files.

        Raises:
            LtdmError: The data cannot be read.
        """


class SourceModuleExtras(Protocol):
    """The names that it may define in addition."""

    def check_split(self, options: Any, split: str) -> None:
        """Check that the options give the split that metrics compare with.

        Raises:
            OptionError: They do not; the path begins with the option that is missing.
        """


def default_class_names(classes: int) -> list[str]:
    """Return `class 0`, `class 1`, ... for this number of classes without names."""
    return [f"class {c}" for c in range(classes)]
