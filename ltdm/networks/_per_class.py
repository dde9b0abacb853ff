"""One network for each class, asked as one; and how a network is built for what labels do."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ltdm.networks._base import NetworkModule
from ltdm.plumbing.registry import Part


def build_network(
    network: Part, label: str, channels: int, size: int, classes: int, augment_dim: int
) -> nn.Module:
    """Make one network for square images with a side of `size` pixels.

    `label` says what a label does: "input" of it, the choice of a "network", or "nothing". `augment_dim`
    is the length of the augmentation's condition.
    """
    module: NetworkModule = network.module
    known = classes if label == "input" else 0
    return module.build(network.options, channels, size, known, augment_dim)


class PerClassNetworks(nn.Module):
    """F = net(x, level, labels, augment), where row i is asked of network labels[i].

    Each of the C networks must be asked the same number of rows, which nothing here checks: on a
    GPU the host does not know the labels. There they run as one stack, whose convolutions are
    grouped; on a CPU one after the other, which gives the same bits as each network alone.

    The networks, all of one shape and without labels of their own, are used up: `net` is one of
    them, in which each parameter and buffer is the stack of all, (C, ...). `seeds` own each
    network's dropout in the next call that needs a gradient, on the CPU.
    """

    def __init__(self, nets: Sequence[nn.Module]):
        super().__init__()
        self.net, self.num_networks = nets[0], len(nets)
        self.seeds: list[int] = []
        weights, buffers = stack_module_state(list(nets))
        for name, stack in [*weights.items(), *buffers.items()]:
            owner, _, key = name.rpartition(".")
            own = nn.Parameter(stack) if name in weights else stack
            setattr(self.net.get_submodule(owner), key, own)

    def forward(
        self, x: Tensor, level: Tensor, labels: Tensor, augment: Tensor | None = None
    ) -> Tensor:
        """Predict F, (B, channels, H, W)."""
        if len(x) % self.num_networks:
            raise ValueError(
                f"{len(x)} rows cannot be shared by {self.num_networks} networks alike"
            )
        order = labels.argsort(stable=True)
        rows = order.view(self.num_networks, -1)
        inputs = [t if t is None else t[rows] for t in (x, level, labels, augment)]
        said = self.forward_vmapped(*inputs) if x.is_cuda else self.forward_sequential(*inputs)
        return said.flatten(0, 1)[order.argsort()]

    def forward_sequential(self, *inputs: Tensor | None) -> Tensor:
        """Ask one network after the other: inputs (C, b, ...) to F (C, b, ...)."""
        stacks = {name: stack.unbind() for name, stack in self._tensors().items()}
        said = []
        for k in range(self.num_networks):
            if self.training and torch.is_grad_enabled() and self.seeds:
                torch.default_generator.manual_seed(self.seeds[k])
            mine = (t if t is None else t[k] for t in inputs)
            said.append(self._one({name: each[k] for name, each in stacks.items()}, *mine))
        return torch.stack(said)

    def forward_vmapped(self, *inputs: Tensor | None) -> Tensor:
        """Ask all networks at once: inputs (C, b, ...) to F (C, b, ...)."""
        tensors = self._tensors()
        dims = (0, *(None if t is None else 0 for t in inputs))
        ask = vmap(self._one, in_dims=dims, randomness="different")
        if next(self.net.parameters()).dtype != torch.float32:
            return ask(tensors, *inputs)
        with sdpa_kernel(SDPBackend.MATH):  # others have no backward pass under vmap (torch 2.11)
            return ask(tensors, *inputs)

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.net.named_parameters()) | dict(self.net.named_buffers())

    def _one(self, tensors: dict[str, Tensor], *inputs: Tensor | None) -> Tensor:
        return functional_call(self.net, tensors, inputs)


def extract_network(tensors: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """Return the tensors of one of the networks from those of `PerClassNetworks`."""
    return {name.removeprefix("net."): stack[number] for name, stack in tensors.items()}
