"""Your own arrays: an .npz with x_train and y_train (and x_test, y_test), uint8 images.

Images are square, of shape (N, H, W), (N, H, W, C) or (N, C, H, W); labels are 0 .. C-1.
"""

from dataclasses import dataclass
from pathlib import Path

from ltdm.data import _arrays
from ltdm.data._base import Census, Loaded
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Where the file lies."""

    path: str = option(..., "The .npz file.", location=True)


def census(options: Options) -> Census:
    """Return what the training arrays hold, without loading the images."""
    return _arrays.census(Path(options.path))


def load(options: Options, split: str) -> Loaded:
    """Return a split, channels first."""
    return _arrays.load(Path(options.path), split)
