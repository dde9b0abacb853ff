"""CIFAR-10: 50,000 training and 10,000 test photographs, 32 x 32, ten classes.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from ltdm.data import _cifar
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.data._cifar import CITATION, SPLITS, Options

__all__ = ["CITATION", "SPLITS", "Options", "describe", "load"]
CLASS_NAMES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
MEAN = (0.49139968, 0.48215841, 0.44653091)
DIGESTS = {
    "train": "973ef2abb5897efc795681a4d79a6f5f642fa2bcb1a828f7476017c89db53a57",
    "test": "2c33b053d1cd726af8d86e174a96dd89d7000ba1412add026d68142375b89d51",
}


def describe(options: Options) -> SourceInfo:
    """Return the published contents of the training split."""
    return _cifar.describe(options, CLASS_NAMES)


def load(options: Options, split: str) -> SourceSplit:
    """Return a split, uint8 (N, 3, 32, 32), in the order of the original files."""
    return _cifar.load(options, split, "CIFAR10", MEAN, DIGESTS)
