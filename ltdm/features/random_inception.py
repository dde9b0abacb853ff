"""The FID's network with random weights, for tests and machines without the FID's weights.

All else is as in `inception`, but no distance of these features is called FID.
Source: He et al., "Delving Deep into Rectifiers", ICCV 2015: normal weights of variance 2 / fan-in
preserve the scale of the activations from layer to layer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltdm.core.seeding import derive_seed
from ltdm.features import _inception
from ltdm.plumbing.options import option

CITATION = _inception.CITATION
PROBABILITIES = _inception.PROBABILITIES
SUPPORTS_POINTS, USES_GPU = _inception.SUPPORTS_POINTS, _inception.USES_GPU
feature_dim, load = _inception.feature_dim, _inception.load


@dataclass(frozen=True)
class Options:
    """Random draw of the weights."""

    seed: int = option(0, "Seed of the weights.", low=0)


def prepare(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return random weights and no metadata; images and labels are not used."""
    net = _inception.empty_network().to_empty(device="cpu")
    rng = torch.Generator().manual_seed(derive_seed("random inception", options.seed))
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=rng)
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    nn.init.normal_(net.fc.bias, generator=rng)
    return net.state_dict(), {}
