"""Image files named by a list: one line `path label` per image, as long-tailed benchmarks come.

ImageNet-LT, Places-LT and iNaturalist are published so. A path is relative to `root` and may hold
spaces; labels are whole numbers from 0. Each file is decoded once; its central square is resized
to `resolution` with antialiasing (Lanczos). Images keep the order of their lines.
Source: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ltdm.data._base import SourceInfo, SourceSplit, default_class_names
from ltdm.data._labelled import FileOptions, decode_split
from ltdm.plumbing.errors import LtdmError, OptionError, shorten
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class Options(FileOptions):
    """Location of the lists and images, their format after preparation, and bad files."""

    path: str = option(..., "List of the training images: a text file.", location=True)
    test_path: str | None = option(
        None,
        "List of the images for `reference_split: test`, such as a balanced validation set.",
        location=True,
    )
    root: str | None = option(
        None, "Folder that the paths start from; by default that of the list.", location=True
    )
    names_path: str | None = option(
        None, "Text file with the name of each class, a line per label.", location=True
    )


class _Entries(NamedTuple):
    paths: list[str]  # as in the list
    labels: np.ndarray  # int64, shape (N,)


def describe(options: Options) -> SourceInfo:
    """Describe the training list; its files are looked up, but none is decoded."""
    entries = _read_list(options, "train")
    counts = np.bincount(entries.labels).tolist()
    if 0 in counts:
        raise LtdmError(
            f"{options.path} has no image of class {counts.index(0)}; labels must be 0 to"
            f" {len(counts) - 1} without a gap"
        )
    names = _read_names(options, len(counts))
    lists = [entries, *([_read_list(options, "test")] if options.test_path else [])]
    content = [(each.paths, each.labels.tolist(), _file_sizes(each, options)) for each in lists]
    text = repr((names, content)).encode(errors="surrogateescape")
    digest = hashlib.sha256(text).hexdigest()[:16]
    return SourceInfo(names, counts, options.channels, options.resolution, digest)


def check_split(options: Options, split: str) -> None:
    """Check that a split has a list.

    Raises:
        OptionError: It has none.
    """
    if split == "test" and not options.test_path:
        raise OptionError(("test_path",), "is missing, and `reference_split: test` reads its list")


def load(options: Options, split: str) -> SourceSplit:
    """Decode the images of a split in the order of its list, uint8 (N, C, H, W)."""
    entries, root = _read_list(options, split), _root(options)
    files = [os.path.join(root, path) for path in entries.paths]
    return decode_split(files, entries.labels, root, options)


def _root(options: Options) -> Path:
    """Return the folder that paths start from."""
    return Path(options.root) if options.root else Path(options.path).parent


def _read_list(options: Options, split: str) -> _Entries:
    """Return the files and labels of a split's list.

    Raises:
        LtdmError: The list cannot be read, a line is no path with a label, or there is none.
    """
    path = Path(options.path if split == "train" or not options.test_path else options.test_path)
    with explain_read_errors(path, "list of images", is_result=False):
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    paths, labels = list[str](), list[int]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, label = line.strip().replace("\t", " ").rpartition(" ")
        if not name or not label.isdecimal():
            raise LtdmError(
                f"{path}, line {number}: {line[:80]!r} is no path followed by a label; write"
                " `folder/file.jpg 3`, with labels from 0"
            )
        paths.append(name.strip())
        labels.append(int(label))
    if not paths:
        raise LtdmError(f"{path} names no image; write a line `path label` for each")
    if max(labels) >= len(labels):
        raise LtdmError(
            f"{path} has the label {max(labels)}, but {len(labels)} images; labels must be 0 to"
            " C - 1 without a gap"
        )
    return _Entries(paths, np.array(labels, np.int64))


def _file_sizes(entries: _Entries, options: Options) -> list[int]:
    """Return the files' sizes in bytes; LtdmError if some are missing, all of which are counted."""
    root, sizes, missing = _root(options), list[int](), list[str]()
    for path in entries.paths:
        try:
            sizes.append(os.stat(os.path.join(root, path)).st_size)
        except OSError:
            missing.append(path)
    if missing:
        raise LtdmError(
            f"{len(missing)} of {len(entries.paths)} files of the list are not below {root}:"
            f" {shorten(missing)}; set `root`, or fetch them"
        ) from FileNotFoundError(missing[0])
    return sizes


def _read_names(options: Options, classes: int) -> list[str]:
    """Return the names of the classes; LtdmError unless `names_path` has one for each, all differ.

    Without the file they are `class 0`, `class 1` and so on.
    """
    if not options.names_path:
        return default_class_names(classes)
    path = Path(options.names_path)
    with explain_read_errors(path, "list of names", is_result=False):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if len(names) != classes or len({*names}) != classes:
        raise LtdmError(
            f"{path} holds {len(names)} names, {len({*names})} of them different, for {classes}"
            " classes; write one name per line, in the order of the labels"
        )
    return names
