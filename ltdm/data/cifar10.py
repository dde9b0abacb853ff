"""CIFAR-10: 50,000 training and 10,000 test photographs, 32 x 32, ten classes.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from ltdm.data import _cifar
from ltdm.data._base import Census, Loaded
from ltdm.data._cifar import CITATION, SPLITS, Options

__all__ = ["CITATION", "SPLITS", "Options", "census", "load"]
NAMES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
    "ship", "truck",
]  # fmt: skip
MEAN = (0.49139968, 0.48215841, 0.44653091)


def census(options: Options) -> Census:
    """Return what the training split holds."""
    return _cifar.census(options, NAMES, 50_000)


def load(options: Options, split: str) -> Loaded:
    """Return a split in the order of the data set's files."""
    return _cifar.load(options, split, "CIFAR10", MEAN)
