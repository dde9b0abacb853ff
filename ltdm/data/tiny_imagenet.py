"""Tiny-ImageNet-200: 100,000 training and 10,000 validation photographs, 64 x 64, 200 classes.

`root` is the unpacked archive: `train/<class>/images/*.JPEG`, `val/images/*.JPEG` and
`val/val_annotations.txt`. Classes are the WordNet ids in sorted order; the test split is `val`.
Source: Y. Le and X. Yang, "Tiny ImageNet Visual Recognition Challenge", Stanford CS 231N, 2015.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltdm.data import _images
from ltdm.data._base import Census, Loaded
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.options import option

CITATION = """@techreport{le2015tiny,
  title={Tiny {ImageNet} Visual Recognition Challenge},
  author={Le, Ya and Yang, Xuan}, institution={Stanford University, CS 231N}, year={2015}}"""
SPLITS = ("train", "test")
CLASSES, EACH, SIDE = 200, 500, 64
MEND = "unpack tiny-imagenet-200.zip again"


@dataclass(frozen=True)
class Options:
    """Where the files lie."""

    root: str = option("data/tiny-imagenet-200", "The unpacked archive.", location=True)


def census(options: Options) -> Census:
    """Return what the training split holds by definition; only the class folders are listed."""
    return Census(_classes(Path(options.root)), [EACH] * CLASSES, 3, SIDE)


def load(options: Options, split: str) -> Loaded:
    """Decode a split, class by class (train) or in the order of val_annotations.txt (test)."""
    root = Path(options.root)
    files, labels = (_train if split == "train" else _validation)(root)
    images, bad = _images.decode_all(files, SIDE)
    named = {files[i].relative_to(root).as_posix(): why for i, why in bad.items()}
    _images.refuse(named, len(files), root, MEND)
    return Loaded(images, np.array(labels, np.int64))


def _classes(root: Path) -> list[str]:
    if not root.exists():
        raise LtdmError(f"{root} is missing: set `root`, or {MEND}") from FileNotFoundError(root)
    found = sorted(folder.name for folder in (root / "train").glob("n*"))
    if len(found) != CLASSES:
        raise LtdmError(f"{root}/train holds {len(found)} classes, not {CLASSES}: {MEND}")
    return found


def _train(root: Path) -> tuple[list[Path], list[int]]:
    files, labels = [], []
    for label, name in enumerate(_classes(root)):
        found = _images.files_of(root / "train" / name / "images")
        files += [Path(entry.path) for entry in found]
        labels += [label] * len(found)
    return files, labels


def _validation(root: Path) -> tuple[list[Path], list[int]]:
    label = {name: i for i, name in enumerate(_classes(root))}
    table = root / "val/val_annotations.txt"
    with explain_read_errors(table, is_result=False):
        lines = [line.split("\t") for line in table.read_text().splitlines()]
    if any(len(line) < 2 or line[1] not in label for line in lines):
        raise LtdmError(f"{table} does not name a file and its class on each line: {MEND}")
    return [root / "val/images" / line[0] for line in lines], [label[line[1]] for line in lines]
