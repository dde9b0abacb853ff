"""The dogs of AFHQ: about 4,700 photographs, resized to 64 x 64 as in the memorisation papers.

`root` is the unpacked archive with `train/dog` and `test/dog` (`val/dog` in the first release).
There is one class. Resizing is bilinear with antialiasing.
Source: Choi et al., "StarGAN v2: Diverse Image Synthesis for Multiple Domains", CVPR 2020.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ltdm.data import _images, _listing
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.plumbing.options import option

CITATION = """@inproceedings{choi2020starganv2,
  title={{StarGAN} v2: Diverse Image Synthesis for Multiple Domains},
  author={Choi, Yunjey and Uh, Youngjung and Yoo, Jaejun and Ha, Jung-Woo},
  booktitle={CVPR}, year={2020}}"""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Location of the files and size of the images."""

    root: str = option("data/afhq", "Folder of the unpacked archive.", location=True)
    resolution: int = option(
        64, "Height and width of the images after resizing, in pixels.", low=1, high=65_536
    )


def describe(options: Options) -> SourceInfo:
    """Describe the training images from their number, names and file sizes; none is decoded."""
    files = _listing.list_images(_folder(options, "train"))
    return SourceInfo(
        ["dog"], [len(files)], 3, options.resolution, _listing.folder_digest({"dog": files})
    )


def load(options: Options, split: str) -> SourceSplit:
    """Decode a split in the order of file names, uint8 (N, 3, resolution, resolution)."""
    folder = _folder(options, split)
    files = _listing.list_images(folder)
    paths = [file.path for file in files]
    images, failures = _images.decode_all(
        paths, options.resolution, resample=Image.Resampling.BILINEAR
    )
    reasons = {files[i].name: reason for i, reason in failures.items()}
    _images.raise_for_bad_files(reasons, len(files), folder, "unpack the archive again")
    return SourceSplit(images, np.zeros(len(files), np.int64))


def _folder(options: Options, split: str) -> Path:
    root = Path(options.root)
    first_release = split == "test" and not (root / "test").exists()
    return root / ("val" if first_release else split) / "dog"
