"""One network for each class, asked as one; and how a network is built for what labels do."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ltdm.registry import Part


def build_network(
    network: Part, label: str, channels: int, size: int, classes: int, told: int
) -> nn.Module:
    """Make one network for square images.

    Args:
        network: The network part.
        label: What a label does: "input" of it, the choice of a "network", or "nothing".
        channels: Of the images.
        size: Side in pixels.
        classes: Of the data.
        told: Length of the augmentation's condition.
    """
    known = classes if label == "input" else 0
    built: nn.Module = network.module.build(network.options, channels, size, known, told)
    return built


class Players(nn.Module):
    """F = net(x, level, labels, augment), where row i is asked of network labels[i].

    Each of the C networks must be asked the same number of rows, which nothing here checks: on a
    GPU the host does not know the labels. There they run as one stack, whose convolutions are
    grouped; on a CPU one after the other, which gives the same bits as each network alone.

    Attributes:
        nets: The networks, all of one shape, without labels of their own.
        seeds: Owners of each network's dropout in the next call that needs a gradient, on the CPU.
    """

    def __init__(self, nets: list[nn.Module]):
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.seeds: list[int] = []

    def forward(
        self, x: Tensor, level: Tensor, labels: Tensor, augment: Tensor | None = None
    ) -> Tensor:
        """Predict F, (B, channels, H, W)."""
        if len(x) % len(self.nets):
            raise ValueError(f"{len(x)} rows cannot be shared by {len(self.nets)} networks alike")
        order = labels.argsort(stable=True)
        rows = order.view(len(self.nets), -1)
        inputs = [t if t is None else t[rows] for t in (x, level, labels, augment)]
        said = self.stacked(*inputs) if x.is_cuda else self.in_turn(*inputs)
        return said.flatten(0, 1)[order.argsort()]

    def in_turn(self, *inputs: Tensor | None) -> Tensor:
        """Ask one network after the other: inputs (C, b, ...) to F (C, b, ...)."""
        said = []
        for k, net in enumerate(self.nets):
            if self.training and torch.is_grad_enabled() and self.seeds:
                torch.default_generator.manual_seed(self.seeds[k])
            said.append(net(*(t if t is None else t[k] for t in inputs)))
        return torch.stack(said)

    def stacked(self, *inputs: Tensor | None) -> Tensor:
        """Ask all networks at once: inputs (C, b, ...) to F (C, b, ...)."""
        own = [dict(net.named_parameters()) | dict(net.named_buffers()) for net in self.nets]
        weights = {name: torch.stack([p[name] for p in own]) for name in own[0]}
        dims = (0, *(None if t is None else 0 for t in inputs))
        return vmap(self._one, in_dims=dims, randomness="different")(weights, *inputs)

    def _one(self, weights: dict[str, Tensor], *inputs: Tensor | None) -> Tensor:
        return functional_call(self.nets[0], weights, inputs)
