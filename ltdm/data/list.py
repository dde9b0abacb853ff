"""Image files named by a list: one line `path label` per image, as long-tailed benchmarks come.

ImageNet-LT, Places-LT and iNaturalist are published so. A path is relative to `root` and may hold
spaces; labels are whole numbers from 0. Each file is decoded once; its central square is resized
to `resolution` with antialiasing (Lanczos). Images keep the order of their lines.
Source: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltdm.data import _labelled
from ltdm.data._base import SourceInfo, SourceSplit, default_class_names
from ltdm.data._labelled import Entries, TableOptions
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")
MAX_DIGITS = 6  # of a label
check_split = _labelled.check_split


@dataclass(frozen=True, kw_only=True)
class Options(TableOptions):
    """Location of the lists and images, their format after preparation, and bad files."""

    names_path: str | None = option(
        None, "Text file with the name of each class, a line per label.", location=True
    )


def describe(options: Options) -> SourceInfo:
    """Describe the training list; its files are looked up, but none is decoded."""
    lists = [_read_list(options.path_of("train"))]
    if options.test_path:
        lists.append(_read_list(options.path_of("test")))
    names = _read_names(options.names_path, int(lists[0].labels.max()) + 1)
    return _labelled.describe_entries(names, lists, options)


def load(options: Options, split: str) -> SourceSplit:
    """Decode the images of a split in the order of its list, uint8 (N, C, H, W)."""
    return _labelled.load_entries(_read_list(options.path_of(split)), options)


def _read_list(path: Path) -> Entries:
    """Return the paths and labels of a list.

    Raises:
        LtdmError: The list cannot be read, a line is no path with a label, or there is none.
    """
    with explain_read_errors(path, "list of images", is_result=False):
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    if "\0" in text:
        raise LtdmError(f"{path} is no text in UTF-8; save it as such")
    paths, labels = list[str](), list[int]()
    for number, line in enumerate(text.split("\n"), 1):  # read_text has made all ends of lines \n
        if not line.strip():
            continue
        name, _, label = line.strip().replace("\t", " ").rpartition(" ")
        if not name or not label.isdecimal() or len(label) > MAX_DIGITS:
            raise LtdmError(
                f"{path}, line {number}: {line[:80]!r} is no path followed by a label; write"
                " `folder/file.jpg 3`, with labels from 0"
            )
        paths.append(name.strip())
        labels.append(int(label))
    if not paths:
        raise LtdmError(f"{path} names no image; write a line `path label` for each")
    return Entries(paths, np.array(labels, np.int64))


def _read_names(names_path: str | None, classes: int) -> list[str]:
    """Return the names of the classes; LtdmError unless the file has one for each, all different.

    Without the file they are `class 0`, `class 1` and so on.
    """
    if not names_path:
        return default_class_names(classes)
    path = Path(names_path)
    with explain_read_errors(path, "list of names", is_result=False):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if len(names) != classes or len({*names}) != classes:
        raise LtdmError(
            f"{path} holds {len(names)} names, {len({*names})} of them different, for {classes}"
            " classes; write one name per line, in the order of the labels"
        )
    return names
