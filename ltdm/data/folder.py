"""Your own images: a folder with one sub-folder of image files per class.

The classes are the sub-folders in the sorted order of their names. They hold PNG, JPEG, WebP, GIF,
TIFF, BMP or AVIF files, of which each is decoded once; its central square is resized to
`resolution` with antialiasing (Lanczos).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltdm.data import _listing
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.data._labelled import FileOptions, decode_split
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train",)


@dataclass(frozen=True, kw_only=True)
class Options(FileOptions):
    """Location of the images, their format after preparation, and the handling of bad files."""

    root: str = option(..., "Folder with one sub-folder per class.", location=True)


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
    return decode_split(files, labels, root, options)


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
