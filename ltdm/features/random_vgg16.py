"""VGG16 with random weights, for tests and machines without torchvision's weights.

All else is as in `vgg16`. The biases are 0.
Source: He et al., "Delving Deep into Rectifiers", ICCV 2015: normal weights of variance 2 / fan-in
preserve the scale of the activations from layer to layer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltdm.core.seeding import derive_seed
from ltdm.features import _vgg
from ltdm.plumbing.options import option

CITATION = _vgg.CITATION
PROBABILITIES = _vgg.PROBABILITIES
SUPPORTS_POINTS, USES_GPU = _vgg.SUPPORTS_POINTS, _vgg.USES_GPU
feature_dim, load = _vgg.feature_dim, _vgg.load


@dataclass(frozen=True)
class Options:
    """Random draw of the weights."""

    seed: int = option(0, "Seed of the weights.", low=0)


def prepare(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return random weights and no metadata; images and labels are not used."""
    net = _vgg.empty_network().to_empty(device="cpu")
    rng = torch.Generator().manual_seed(derive_seed("random vgg16", options.seed))
    for tensor in net.parameters():
        if tensor.ndim > 1:
            nn.init.kaiming_normal_(tensor, generator=rng)
        else:
            nn.init.zeros_(tensor)
    return net.state_dict(), {}
