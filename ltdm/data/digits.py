"""The 1,797 handwritten digits of scikit-learn, 8 x 8: real images without a download.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test split).
"""

from dataclasses import dataclass

import numpy as np

from ltdm.data._base import SourceInfo, SourceSplit

CITATION = """@misc{alpaydin1998digits,
  title={Optical Recognition of Handwritten Digits},
  author={Alpaydin, Ethem and Kaynak, Cenk},
  howpublished={UCI Machine Learning Repository}, year={1998}, doi={10.24432/C50P49}}"""
SPLITS = ("train",)


@dataclass(frozen=True)
class Options:
    """No options."""


def describe(options: Options) -> SourceInfo:
    """Return the class counts of scikit-learn's copy."""
    names = [str(digit) for digit in range(10)]
    return SourceInfo(names, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180], 1, 8)


def load(options: Options, split: str) -> SourceSplit:
    """Return all digits, uint8 (N, 1, 8, 8), in scikit-learn's order, 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    return SourceSplit(images, digits.target.astype(np.int64))
