"""The image files of a folder and of its class folders, and a digest of them.

Hidden entries and the LEAVINGS of systems and archives are passed over, and so are files without an
image's extension. Everything that counts, digests or decodes a folder lists it here.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from ltdm.plumbing.errors import LtdmError, shorten

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif")
LEAVINGS = {
    "__macosx",  # macOS: archives, shares
    "network trash folder",
    "temporary items",
    "$recycle.bin",  # Windows
    "system volume information",
    "found.000",
    "lost+found",  # Linux
    "@eadir",  # Synology, QNAP, NetApp
    "#recycle",
    "@recycle",
    "#snapshot",
    "~snapshot",
    "__pycache__",
}
"""Folders that hold no class, in lower case; those that begin with a dot are hidden anyway."""


def list_images(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is called an image directly in a folder; errors as in `list_classes`."""
    return list_classes(folder, [""])[""]


def list_folder(root: Path) -> tuple[list[str], list[os.DirEntry[str]]]:
    """Return the names of the class folders in a folder, and the images directly in it, by name.

    Raises:
        LtdmError: The folder cannot be listed, the name of a class folder is not UTF-8, or a link
            leads nowhere, so that a class may be missing.
    """
    entries = _scan(root)
    folders = [entry.name for entry in entries if _is_folder(entry)]
    images = [entry for entry in entries if _is_called_image(entry) and not _is_folder(entry)]
    lost = [e.name for e in entries if not _is_called_image(e) and _leads_nowhere(e)]
    if lost:
        raise LtdmError(f"{root} has links that lead nowhere: {shorten(lost)}; fix or remove them")
    try:
        "".join(folders).encode()  # a name that is not UTF-8 cannot be written to a table
    except UnicodeEncodeError as error:
        raise LtdmError(
            f"{root} holds a class folder whose name is not UTF-8; rename it"
        ) from error
    return folders, images


def list_classes(root: Path, names: list[str]) -> dict[str, list[os.DirEntry[str]]]:
    """Return the images of each class folder of `root`, by its name, in the order of `names`.

    Names decide what is an image: one may be damaged, a link to nowhere, or no file at all, which
    decoding it reports.

    Raises:
        LtdmError: A folder cannot be listed, or some hold no image, all of which are counted.
    """
    classes = {name: [e for e in _scan(root / name) if _is_called_image(e)] for name in names}
    empty = [root / name for name, images in classes.items() if not images]
    for folder in empty:
        _refuse_nested(folder)
    if empty:
        hold, it = ("holds", "it") if len(empty) == 1 else ("hold", "them")
        kinds = ", ".join(EXTENSIONS)
        raise LtdmError(f"{shorten(empty)} {hold} no image ({kinds}); add images, or remove {it}")
    return classes


def folder_digest(classes: Mapping[str, list[os.DirEntry[str]]]) -> str:
    """Return a digest of the classes' names and of their files' names and sizes in bytes."""
    items = [(c, e.name, _size(e)) for c, entries in classes.items() for e in entries]
    return hashlib.sha256(repr(items).encode()).hexdigest()[:16]


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder by name, without what is passed over."""
    try:
        entries = [e for e in os.scandir(folder) if not _is_passed_over(e.name)]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LtdmError(
            f"cannot read the folder {folder}: {reason}; correct the path or its permissions"
        ) from error
    return sorted(entries, key=lambda entry: entry.name)


def _refuse_nested(folder: Path) -> None:
    """Raise LtdmError if a folder without images holds folders of images: it is no class."""
    for entry in _scan(folder):
        if _is_folder(entry) and any(_is_called_image(e) for e in _scan(Path(entry.path))):
            raise LtdmError(
                f"{folder} has its images one level deeper ({entry.name}): if its folders are the"
                " classes, name it as the data, else move the images up"
            )


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEAVINGS


def _is_called_image(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(EXTENSIONS)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or leads to one; `is_dir` fails at a link to itself."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link to nowhere: decoding it reports the error
        return -1
