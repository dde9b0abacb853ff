"""Building a run's network by what labels do in it, and one network per class run as one module."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ltdm.networks._base import NetworkModule
from ltdm.plumbing.registry import Part


def build_network(
    network: Part, label_role: str, channels: int, size: int, classes: int, augment_dim: int
) -> nn.Module:
    """Make one network for square images of `size` x `size` pixels.

    `label_role` is what a label does: it is the network's "input", selects the "network", or does
    "nothing". `augment_dim` is the length of the augmentation's condition vector.
    """
    module: NetworkModule = network.module
    input_classes = classes if label_role == "input" else 0
    return module.build(network.options, channels, size, input_classes, augment_dim)


class PerClassNetworks(nn.Module):
    """F = net(x, level, labels, augment), where network labels[i] computes row i.

    Each of the C networks must get the same number of rows. This is not checked, since on a GPU the
    host does not know the labels. On a GPU the networks run as one stack, with grouped
    convolutions; on a CPU one after the other, with the same bits as each network alone.

    The networks must have the same shape and no labels of their own. They are consumed: `net` is
    the first of them, with every parameter and buffer replaced by the stack of all, (C, ...).
    `seeds`, one per network, seed its dropout in the next call that needs a gradient, on a CPU.
    """

    def __init__(self, nets: Sequence[nn.Module]):
        super().__init__()
        self.net, self.num_networks = nets[0], len(nets)
        self.seeds: list[int] = []
        weights, buffers = stack_module_state(list(nets))
        for name, stack in [*weights.items(), *buffers.items()]:
            owner, _, key = name.rpartition(".")
            tensor = nn.Parameter(stack) if name in weights else stack
            setattr(self.net.get_submodule(owner), key, tensor)

    def forward(
        self, x: Tensor, level: Tensor, labels: Tensor, augment: Tensor | None = None
    ) -> Tensor:
        """Predict F, (B, channels, H, W).

        Raises:
            ValueError: B is not a multiple of the number of networks.
        """
        if len(x) % self.num_networks:
            raise ValueError(
                f"{len(x)} rows cannot be divided evenly among {self.num_networks} networks;"
                " give each the same number"
            )
        order = labels.argsort(stable=True)
        rows = order.view(self.num_networks, -1)
        inputs = [t if t is None else t[rows] for t in (x, level, labels, augment)]
        F = self.forward_vmapped(*inputs) if x.is_cuda else self.forward_sequential(*inputs)
        return F.flatten(0, 1)[order.argsort()]

    def forward_sequential(self, *inputs: Tensor | None) -> Tensor:
        """Run one network after the other: inputs (C, b, ...) to F (C, b, ...)."""
        stacks = {name: stack.unbind() for name, stack in self._tensors().items()}
        predictions = []
        for k in range(self.num_networks):
            if self.training and torch.is_grad_enabled() and self.seeds:
                torch.default_generator.manual_seed(self.seeds[k])
            tensors = {name: each[k] for name, each in stacks.items()}
            own_inputs = (t if t is None else t[k] for t in inputs)
            predictions.append(self._call_network(tensors, *own_inputs))
        return torch.stack(predictions)

    def forward_vmapped(self, *inputs: Tensor | None) -> Tensor:
        """Run all networks at once: inputs (C, b, ...) to F (C, b, ...)."""
        tensors = self._tensors()
        dims = (0, *(None if t is None else 0 for t in inputs))
        call_all = vmap(self._call_network, in_dims=dims, randomness="different")
        if next(self.net.parameters()).dtype != torch.float32:
            return call_all(tensors, *inputs)
        # The other backends have no backward pass under vmap (torch 2.11).
        with sdpa_kernel(SDPBackend.MATH):
            return call_all(tensors, *inputs)

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.net.named_parameters()) | dict(self.net.named_buffers())

    def _call_network(self, tensors: dict[str, Tensor], *inputs: Tensor | None) -> Tensor:
        return functional_call(self.net, tensors, inputs)


def extract_network(tensors: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    """Return the state dict of one network from that of `PerClassNetworks`."""
    return {name.removeprefix("net."): stack[index] for name, stack in tensors.items()}
