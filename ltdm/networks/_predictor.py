"""A network in use: mixed precision, and a count of what it costs."""

import torch
from torch import Tensor, nn

from ltdm.device import autocast


def placed(net: nn.Module, device: torch.device) -> nn.Module:
    """Return the network on the device, in the memory layout that is fastest there."""
    moved = net.to(device)
    return moved.to(memory_format=torch.channels_last) if device.type == "cuda" else moved


class Predictor:
    """A network as a function in mixed precision, float32 out, that counts its evaluations.

    Attributes:
        evaluations: Images that went through the network so far.
    """

    def __init__(
        self,
        net: nn.Module,
        device: torch.device,
        precision: str,
        compiled: bool = False,
    ):
        self.call = torch.compile(net) if compiled else net
        self.device, self.precision = device, precision
        self.evaluations = 0

    def __call__(self, x: Tensor, level: Tensor, labels: Tensor) -> Tensor:
        """Return F = net(x, level, labels)."""
        self.evaluations += len(x)
        with autocast(self.device, self.precision):
            return self.call(x, level, labels).float()
