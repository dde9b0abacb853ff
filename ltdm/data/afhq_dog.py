"""The dogs of AFHQ: some 4,700 photographs, resized to 64 x 64 as the memorisation papers do.

`root` is the unpacked archive: `train/dog` and `test/dog` (`val/dog` in the first release). One
class; the resize is bilinear with antialiasing.
Source: Choi et al., "StarGAN v2: Diverse Image Synthesis for Multiple Domains", CVPR 2020.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ltdm.data import _images
from ltdm.data._base import Census, Loaded
from ltdm.plumbing.options import option

CITATION = """@inproceedings{choi2020starganv2,
  title={{StarGAN} v2: Diverse Image Synthesis for Multiple Domains},
  author={Choi, Yunjey and Uh, Youngjung and Yoo, Jaejun and Ha, Jung-Woo},
  booktitle={CVPR}, year={2020}}"""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Where the files lie and how large they become."""

    root: str = option("data/afhq", "The unpacked archive.", location=True)
    resolution: int = option(64, "Height and width after preparation, pixels.", low=1)


def census(options: Options) -> Census:
    """Return how many dogs there are; nothing is decoded."""
    files = _images.files_of(_folder(options, "train"))
    return Census(["dog"], [len(files)], 3, options.resolution, _images.content_of({"dog": files}))


def load(options: Options, split: str) -> Loaded:
    """Decode a split, by name."""
    folder = _folder(options, split)
    files = _images.files_of(folder)
    paths = [file.path for file in files]
    images, bad = _images.decode_all(paths, options.resolution, resample=Image.Resampling.BILINEAR)
    named = {files[i].name: why for i, why in bad.items()}
    _images.refuse(named, len(files), folder, "unpack the archive again")
    return Loaded(images, np.zeros(len(files), np.int64))


def _folder(options: Options, split: str) -> Path:
    root = Path(options.root)
    first_release = split == "test" and not (root / "test").exists()
    return root / ("val" if first_release else split) / "dog"
