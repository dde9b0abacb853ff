"""A network in use: mixed precision, and a count of what it costs."""

import torch
from torch import Tensor, nn

from ltdm.device import autocast, resolved


def placed(net: nn.Module, device: torch.device) -> nn.Module:
    """Return the network on the device; channels last on a GPU, as its convolutions want it."""
    moved = net.to(device)
    return moved.to(memory_format=torch.channels_last) if device.type == "cuda" else moved


class Predictor:
    """A network as a function in mixed precision, float32 out, that counts its evaluations.

    Attributes:
        evaluations: Images that went through the network so far.
        precision: "bf16" or "fp32", whichever it runs in.
    """

    def __init__(
        self,
        net: nn.Module,
        device: torch.device,
        precision: str,
        compiled: bool = False,
    ):
        self.call = torch.compile(net) if compiled else net
        self.device, self.precision = device, resolved(precision, device)
        self.evaluations = 0

    def __call__(
        self, x: Tensor, level: Tensor, labels: Tensor, augment: Tensor | None = None
    ) -> Tensor:
        """Return F = net(x, level, labels, augment)."""
        self.evaluations += len(x)
        with autocast(self.device, self.precision):
            return self.call(x, level, labels, augment).float()
