"""Your own pictures: a folder with one sub-folder of PNG, JPEG or WebP files for each class.

Classes are the sub-folders' names in sorted order. Each picture is decoded once: its central square
is resized to `resolution` with antialiasing (Lanczos).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltdm.data import _images
from ltdm.data._base import Census, Loaded
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train",)


@dataclass(frozen=True)
class Options:
    """Where the pictures lie and what becomes of them."""

    root: str = option(..., "The folder.", location=True)
    resolution: int = option(32, "Height and width after preparation, pixels.", low=1)
    channels: int = option(3, "3 for colour, 1 for grey.", low=1, high=3)
    on_bad_file: str = option(
        "error",
        "What to do where files cannot be decoded: stop with an error (`error`), or leave them out"
        " (`skip`).",
        choices=("error", "skip"),
    )

    def __post_init__(self) -> None:
        if self.channels == 2:
            raise OptionError(("channels",), "must be 3 or 1")


def census(options: Options) -> Census:
    """Return what the folder holds by its names; nothing is decoded."""
    listed = _listed(options)
    sizes, content = [*map(len, listed.values())], _images.content_of(listed)
    return Census(list(listed), sizes, options.channels, options.resolution, content)


def load(options: Options, split: str) -> Loaded:
    """Decode all pictures, class by class, by name."""
    root, listed = Path(options.root), _listed(options)
    files = [entry.path for found in listed.values() for entry in found]
    labels = np.repeat(np.arange(len(listed)), [*map(len, listed.values())])
    images, bad = _images.decode_all(files, options.resolution, options.channels)
    left_out = {Path(files[i]).relative_to(root).as_posix(): why for i, why in bad.items()}
    if options.on_bad_file == "error":
        way_out = "fix or remove them, or set `on_bad_file: skip` to leave them out"
        _images.refuse(left_out, len(files), root, way_out)
    good = np.setdiff1d(np.arange(len(files)), list(bad))
    for new, old in enumerate(good):  # in place: a copy would double the memory
        if new < old:
            images[new] = images[old]
    return Loaded(images[: len(good)], labels[good], left_out)


def _listed(options: Options) -> dict[str, list[os.DirEntry[str]]]:
    root = Path(options.root)
    try:
        folders = sorted(e.name for e in os.scandir(root) if e.is_dir() and e.name[0] != ".")
        "".join(folders).encode()  # names that are no UTF-8 cannot go into a table
    except UnicodeEncodeError as error:
        raise LtdmError(
            f"{root} holds a class folder whose name is not UTF-8; rename it"
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise LtdmError(f"cannot read the folder {root}: {why}") from error
    if not folders:
        raise LtdmError(
            f"{root} holds no class folders: it must hold one sub-folder for each class"
        )
    return {name: _images.files_of(root / name) for name in folders}
