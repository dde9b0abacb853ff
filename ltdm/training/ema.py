"""Exponential moving average of weights."""

import torch
from torch import Tensor, nn


class EMA:
    """e <- decay e + (1 - decay) p after each update, starting as a copy of the weights.

    The released codes use no warm-up of the decay, so neither do we: after n updates a share
    decay**n of the initial weights is left.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay = decay
        self.source = dict(net.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.source.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move every average towards its weight, in a few fused kernels."""
        torch._foreach_lerp_(
            list(self.average.values()), list(self.source.values()), 1 - self.decay
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights by name."""
        return self.average

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take averaged weights back."""
        for name, value in state.items():
            self.average[name].copy_(value)
