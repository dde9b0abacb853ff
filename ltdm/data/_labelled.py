"""Labelled image files of any size and their options: what `folder`, `list` and `csv` share."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ltdm.data import _images
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.plumbing.errors import LtdmError, OptionError, shorten
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


@dataclass(frozen=True, kw_only=True)
class TableOptions(FileOptions):
    """Location of the files that name the images, and of the images."""

    path: str = option(..., "File that names the training images.", location=True)
    test_path: str | None = option(
        None,
        "File that names the images for `reference_split: test`, such as a balanced validation"
        " set.",
        location=True,
    )
    root: str | None = option(
        None, "Folder that the paths start from; by default that of `path`.", location=True
    )

    @property
    def image_root(self) -> Path:
        """The folder that paths start from."""
        return Path(self.root) if self.root else Path(self.path).parent

    def path_of(self, split: str) -> Path:
        """Return the file that names the images of a split."""
        return Path(self.test_path if split == "test" and self.test_path else self.path)


class Entries(NamedTuple):
    """The images that a file names."""

    paths: list[str]  # as they are written there
    labels: np.ndarray  # int64, shape (N,)


def check_split(options: TableOptions, split: str) -> None:
    """Check that a file names the images of a split.

    Raises:
        OptionError: None does.
    """
    if split == "test" and not options.test_path:
        raise OptionError(("test_path",), "is missing, and `reference_split: test` reads it")


def describe_entries(names: list[str], lists: list[Entries], options: TableOptions) -> SourceInfo:
    """Describe the first of the lists; the digest is of all, and of the sizes of their files.

    Raises:
        LtdmError: A class has no image in a list, or files are missing, which are counted.
    """
    for path, entries in zip((options.path, options.test_path), lists, strict=False):
        found = np.bincount(entries.labels, minlength=len(names))
        if len(found) > len(names):
            raise LtdmError(
                f"{path} has the label {len(found) - 1}, but {options.path} has only"
                f" {len(names)} classes; use the same labels in both"
            )
        if not found.all():
            raise LtdmError(
                f"{path} has no image of class {found.argmin()} of {len(names)}; labels must be 0"
                f" to {len(names) - 1} without a gap"
            )
    counts = np.bincount(lists[0].labels, minlength=len(names)).tolist()
    root = options.image_root
    content = [(each.paths, each.labels.tolist(), _file_sizes(each.paths, root)) for each in lists]
    text = repr((names, content)).encode(errors="surrogateescape")
    digest = hashlib.sha256(text).hexdigest()[:16]
    return SourceInfo(names, counts, options.channels, options.resolution, digest)


def _file_sizes(paths: list[str], root: Path) -> list[int]:
    """Return the files' sizes in bytes; LtdmError if some are missing, all of which are counted."""
    sizes, missing = list[int](), list[str]()
    for path in paths:
        try:
            sizes.append(os.stat(os.path.join(root, path)).st_size)
        except (OSError, ValueError):  # a zero byte in a name
            missing.append(path)
    if missing:
        raise LtdmError(
            f"{len(missing)} of {len(paths)} files of the list are not below {root}:"
            f" {shorten(missing)}; set `root`, or fetch them"
        ) from FileNotFoundError(missing[0])
    return sizes


def load_entries(entries: Entries, options: TableOptions) -> SourceSplit:
    """Decode the images of a list in its order; errors as in `decode_split`."""
    root = options.image_root
    files = [os.path.join(root, path) for path in entries.paths]
    return decode_split(files, entries.labels, root, options)


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
