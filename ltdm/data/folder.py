"""Your own images: a folder with one sub-folder of image files per class.

The classes are the sub-folders in the sorted order of their names. They hold PNG, JPEG, WebP, GIF,
TIFF, BMP or AVIF files, of which each is decoded once; its central square is resized to
`resolution` with antialiasing (Lanczos).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltdm.data import _images, _listing
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train",)


@dataclass(frozen=True)
class Options:
    """Location of the images, their format after preparation, and the handling of bad files."""

    root: str = option(..., "Folder with one sub-folder per class.", location=True)
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


def describe(options: Options) -> SourceInfo:
    """Describe the folder from its files' names and sizes; none is decoded."""
    files = _list_classes(options)
    counts, digest = [len(entries) for entries in files.values()], _listing.folder_digest(files)
    return SourceInfo(list(files), counts, options.channels, options.resolution, digest)


def load(options: Options, split: str) -> SourceSplit:
    """Decode all images, class by class in the order of file names, uint8 (N, C, H, W)."""
    root, classes = Path(options.root), [*_list_classes(options).values()]
    files = [entry.path for entries in classes for entry in entries]
    labels = np.repeat(np.arange(len(classes)), [len(entries) for entries in classes])
    images, failures = _images.decode_all(files, options.resolution, options.channels)
    reasons = {Path(files[i]).relative_to(root).as_posix(): why for i, why in failures.items()}
    if options.on_bad_file == "error":
        advice = "fix or remove them, or set `on_bad_file: skip` to leave them out"
        _images.raise_for_bad_files(reasons, len(files), root, advice)
    good = np.setdiff1d(np.arange(len(files)), list(failures))
    for new, old in enumerate(good):  # in place, since a copy would double the memory
        if new < old:
            images[new] = images[old]
    return SourceSplit(images[: len(good)], labels[good], reasons)


def _list_classes(options: Options) -> dict[str, list[os.DirEntry[str]]]:
    """Return the image files of each class folder, by its name, in sorted order."""
    root = Path(options.root)
    folders, images = _listing.list_folder(root)
    if not folders:
        found = f" but images ({images[0].name})" if images else ""
        raise LtdmError(
            f"{root} holds no class folders{found}; it must hold one sub-folder per class"
        )
    return _listing.list_classes(root, folders)
