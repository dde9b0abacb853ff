"""The 1,797 handwritten 8 x 8 digits that come with scikit-learn: real images, no download.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test part).
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
    """None."""


def describe(options: Options) -> SourceInfo:
    """Return what the set holds."""
    names = [str(digit) for digit in range(10)]
    return SourceInfo(names, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180], 1, 8)


def load(options: Options, split: str) -> SourceSplit:
    """Return all digits, uint8 (N, 1, 8, 8), in the source's order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    return SourceSplit(images, digits.target.astype(np.int64))
