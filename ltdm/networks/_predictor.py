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
        forward: Images that went through the network so far.
        backward: Those of them that a gradient can come back from.
        encoder: Images that went through the way down and the middle only, with a gradient.
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
        self.recount()

    def __call__(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return F = net(x, level, labels, augment)."""
        self._count(len(x))
        with autocast(self.device, self.precision):
            return self.call(x, *rest).float()

    def both(self, x: Tensor, *rest: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return F and the bottleneck."""
        self._count(len(x))
        with autocast(self.device, self.precision):
            F, z = self.call(x, *rest, want="both")
            return F.float(), z.float()

    def bottleneck(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return the bottleneck; the way up is not computed."""
        self.encoder += len(x)
        with autocast(self.device, self.precision):
            return self.call(x, *rest, want="z").float()

    def recount(self) -> None:
        """Count from nothing again."""
        self.forward = self.backward = self.encoder = 0

    def counted(self, images: int) -> dict[str, float]:
        """Return the evaluations an image so far."""
        counts = {"forward": self.forward, "backward": self.backward, "encoder": self.encoder}
        return {name: count / images for name, count in counts.items()}

    def _count(self, rows: int) -> None:
        self.forward += rows
        self.backward += rows if torch.is_grad_enabled() else 0
