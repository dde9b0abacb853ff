"""Your own arrays: an .npz of uint8 images with x_train, y_train, optionally x_test, y_test.

Images are square, of shape (N, H, W), (N, H, W, C) or (N, C, H, W), with 1 or 3 channels. Labels
run from 0 without a gap.
"""

from dataclasses import dataclass
from pathlib import Path

from ltdm.data import _arrays
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Location of the file."""

    path: str = option(..., "The .npz file.", location=True)


def describe(options: Options) -> SourceInfo:
    """Describe the training arrays without loading the images."""
    return _arrays.describe(Path(options.path))


def load(options: Options, split: str) -> SourceSplit:
    """Return a split, uint8 (N, C, H, W)."""
    return _arrays.load(Path(options.path), split)
