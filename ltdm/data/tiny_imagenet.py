"""Tiny-ImageNet-200: 100,000 training and 10,000 validation photographs, 64 x 64, 200 classes.

`root` is the unpacked archive: `train/<class>/images/*.JPEG`, `val/images/*.JPEG` and
`val/val_annotations.txt`. Classes are the WordNet ids in sorted order. The test split is `val`.
Source: Y. Le and X. Yang, "Tiny ImageNet Visual Recognition Challenge", Stanford CS 231N, 2015.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltdm.data import _images, _listing
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.options import option

CITATION = """@techreport{le2015tiny,
  title={Tiny {ImageNet} Visual Recognition Challenge},
  author={Le, Ya and Yang, Xuan}, institution={Stanford University, CS 231N}, year={2015}}"""
SPLITS = ("train", "test")
CLASSES, IMAGES_PER_CLASS, RESOLUTION = 200, 500, 64
ADVICE = "unpack tiny-imagenet-200.zip again"


@dataclass(frozen=True)
class Options:
    """Location of the files."""

    root: str = option("data/tiny-imagenet-200", "Folder of the unpacked archive.", location=True)


def describe(options: Options) -> SourceInfo:
    """Return the published contents of the training split; only the class folders are listed."""
    return SourceInfo(_class_names(Path(options.root)), [IMAGES_PER_CLASS] * CLASSES, 3, RESOLUTION)


def load(options: Options, split: str) -> SourceSplit:
    """Decode a split, uint8 (N, 3, 64, 64): by class (train) or as val_annotations.txt (test)."""
    root = Path(options.root)
    files, labels = _list_train(root) if split == "train" else _list_validation(root)
    images, failures = _images.decode_all(files, RESOLUTION)
    reasons = {files[i].relative_to(root).as_posix(): why for i, why in failures.items()}
    _images.raise_for_bad_files(reasons, len(files), root, ADVICE)
    return SourceSplit(images, np.array(labels, np.int64))


def _class_names(root: Path) -> list[str]:
    """Return the 200 names of the class folders in sorted order; raise LtdmError for others."""
    if not root.exists():
        raise LtdmError(f"{root} is missing: set `root`, or {ADVICE}") from FileNotFoundError(root)
    names = sorted(folder.name for folder in (root / "train").glob("n*"))
    if len(names) != CLASSES:
        raise LtdmError(f"{root}/train holds {len(names)} classes, not {CLASSES}: {ADVICE}")
    return names


def _list_train(root: Path) -> tuple[list[Path], list[int]]:
    """Return the training files and their labels."""
    files, labels = [], []
    for label, name in enumerate(_class_names(root)):
        entries = _listing.list_images(root / "train" / name / "images")
        files += [Path(entry.path) for entry in entries]
        labels += [label] * len(entries)
    return files, labels


def _list_validation(root: Path) -> tuple[list[Path], list[int]]:
    """Return the validation files and their labels, by val_annotations.txt."""
    label_of = {name: i for i, name in enumerate(_class_names(root))}
    table = root / "val/val_annotations.txt"
    with explain_read_errors(table, "list of images and classes", is_result=False):
        lines = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    if any(len(line) < 2 or line[1] not in label_of for line in lines):
        raise LtdmError(f"{table} does not name a file and its class on each line: {ADVICE}")
    return [root / "val/images" / line[0] for line in lines], [label_of[line[1]] for line in lines]
