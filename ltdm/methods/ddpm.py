"""Plain denoising: L = E |F(x_t, t, y) - F*|^2.

With the `vp` process F is the predicted noise and this is DDPM's simple loss; labels dropped by
the trainer (`train.label_dropout`) teach the unconditional branch that guidance needs.
Source: Ho et al., NeurIPS 2020, equation 14. Cost: one evaluation an image, forward and backward.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltdm.citations import HO2020
from ltdm.diffusion._base import Process
from ltdm.methods._base import Batch, Method, Net, mse, noised

CITATION = HO2020


@dataclass(frozen=True)
class Options:
    """None."""


def evaluations(options: Options, label_dropout: float) -> tuple[float, float]:
    """Return forward and backward evaluations an image."""
    return 1, 1


def build(options: Options, class_counts: list[int]) -> Method:
    """Make the objective."""
    return DDPM()


class DDPM(Method):
    """See the module."""

    def loss(
        self, net: Net, batch: Batch, process: Process, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the term `denoise`."""
        at = noised(batch, process, rng)
        return {"denoise": mse(net(*at.inputs), at.target)}
