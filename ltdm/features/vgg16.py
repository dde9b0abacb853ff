"""VGG16 trained on ImageNet: features for improved precision and recall, as CORAL reports recall.

The features are those of the second fully connected layer (fc2) after its ReLU, 4096 numbers. Set
`{name: precision-recall, k: 3, extractor: vgg16}` for the recall of these papers. Images are
resized to 224 x 224 (bilinear, between pixel centres, no antialiasing) and normalised by ImageNet's
mean and standard deviation.

The weights are torchvision's, `VGG16_Weights.IMAGENET1K_V1`. The name of their file holds the first
eight digits of its SHA-256, by torch.hub's convention, and a file that differs from them is
rejected. torchvision publishes no more digits, so a file of your own needs `sha256`.

Released code: the network of the paper on improved precision and recall is a file without code. It
has the weights of VGG16's authors, while torchvision trained its own, and how it resizes is not
documented, nor whether it ends with the ReLU. The ReLU is our reading, and what torch-fidelity uses
for precision and recall. So expect values near the papers', not theirs.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015; Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing
Generative Models", NeurIPS 2019.

Cost: 15.5 billion multiply-adds per image, whatever its size; 553 MB of weights per data set.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltdm.features import _vgg
from ltdm.features._weight_file import PublishedWeights, check_path, read_weights
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = _vgg.CITATION
PROBABILITIES = _vgg.PROBABILITIES
SUPPORTS_POINTS, USES_GPU = _vgg.SUPPORTS_POINTS, _vgg.USES_GPU
feature_dim, load = _vgg.feature_dim, _vgg.load
URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
SHA256 = "397923af"
FILE = "data/vgg16-397923af.pth"


@dataclass(frozen=True)
class Options:
    """Location of the weights, and their hash."""

    path: str | None = option(
        None,
        f"File of the weights, a state dict; by default `{FILE}`, downloaded if it is missing.",
        location=True,
    )
    sha256: str | None = option(
        None,
        "SHA-256 of the file, 64 hexadecimal digits; required with `path`. By default its first"
        f" digits must be `{SHA256}`.",
    )

    def __post_init__(self) -> None:
        """Refuse a file without a hash, and a text that is no SHA-256."""
        if self.path is not None and self.sha256 is None:
            message = "is missing, and `path` needs it; set it to what `sha256sum` prints for the"
            raise OptionError(("sha256",), f"{message} file, or leave `path` out")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            message = f"must be 64 digits 0-9 and a-f, not {self.sha256!r}"
            raise OptionError(("sha256",), f"{message}; set it to what `sha256sum` prints")


def check(options: Options) -> None:
    """Check that `path`, if set, is a file.

    Raises:
        OptionError: It is not.
    """
    check_path(options.path, FILE)


def prepare(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights and the SHA-256 of their file; images and labels are not used."""
    content, expected = "VGG16's weights", options.sha256 or SHA256
    source = PublishedWeights(content, URL, FILE, expected, options.path, "`path` and `sha256`")
    return read_weights(_vgg.empty_network(), source)
