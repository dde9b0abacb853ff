"""Labelled image files of any size and their options: what `folder` and `list` share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltdm.data import _images
from ltdm.data._base import SourceSplit
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Format of the images after preparation, and the handling of bad files."""

    resolution: int = option(
        32, "Height and width of the images after resizing, in pixels.", low=1, high=65_536
    )
    channels: int = option(3, "Channels of the images: 3 for colour, 1 for grey.", low=1, high=3)
    on_bad_file: str = option(
        "error",
        "Handling of files that cannot be decoded: stop with an error (`error`), or leave them out"
        " (`skip`).",
        choices=("error", "skip"),
    )

    def __post_init__(self) -> None:
        if self.channels == 2:
            raise OptionError(("channels",), "must be 3 or 1")


def decode_split(
    files: Sequence[str], labels: np.ndarray, root: Path, options: FileOptions
) -> SourceSplit:
    """Decode files with their labels, int64 (N,); messages name the files relative to `root`.

    Raises:
        LtdmError: A file cannot be decoded, and `on_bad_file` is "error".
    """
    images, failures = _images.decode_all(files, options.resolution, options.channels)
    names = {i: Path(files[i]) for i in failures}
    reasons = {
        (path.relative_to(root) if path.is_relative_to(root) else path).as_posix(): failures[i]
        for i, path in names.items()
    }
    if options.on_bad_file == "error":
        advice = "fix or remove them, or set `on_bad_file: skip` to leave them out"
        _images.raise_for_bad_files(reasons, len(files), root, advice)
    good = np.setdiff1d(np.arange(len(files)), list(failures))
    for new, old in enumerate(good):  # in place, since a copy would double the memory
        if new < old:
            images[new] = images[old]
    return SourceSplit(images[: len(good)], labels[good], reasons)
