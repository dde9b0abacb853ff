"""The FID's network with random weights, for tests and machines without the FID's weights.

It goes the same way as `inception` in every other respect, and nothing that it gives is called FID.
Source: He et al., "Delving Deep into Rectifiers", ICCV 2015: normal weights of variance 2 / fan-in
keep the size of the activations from layer to layer.
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
READS_POINTS, RUNS_NETWORK = _inception.READS_POINTS, _inception.RUNS_NETWORK
length, build = _inception.length, _inception.build


@dataclass(frozen=True)
class Options:
    """The draw."""

    seed: int = option(0, "Seed of the weights.", low=0)


def fit(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return random weights; the images do not matter."""
    net = _inception.outline().to_empty(device="cpu")
    rng = torch.Generator().manual_seed(derive_seed("random inception", options.seed))
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=rng)
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    nn.init.normal_(net.fc.bias, generator=rng)
    return net.state_dict(), {}
