"""A network that runs in bf16 weights, made from float32 ones by one copy."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class DtypeCopy(torch.autograd.Function):
    """Copies tensors into another type, gradients back into their own, each in a few kernels."""

    @staticmethod
    def forward(ctx: Any, kind: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors in the type `kind`."""
        ctx.kinds = [t.dtype for t in tensors]
        ctx.set_materialize_grads(False)
        return _copy_as([kind] * len(tensors), tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients in the types that the tensors have."""
        there = [k for k, gradient in enumerate(gradients) if gradient is not None]
        copies = _copy_as([ctx.kinds[k] for k in there], [gradients[k] for k in there])
        found = dict(zip(there, copies, strict=True))
        return None, *(found.get(k) for k in range(len(gradients)))


def _copy_as(kinds: list[torch.dtype], tensors: Any) -> tuple[Tensor, ...]:
    copies = [torch.empty_like(t, dtype=kind) for t, kind in zip(tensors, kinds, strict=True)]
    torch._foreach_copy_(copies, list(tensors))
    return tuple(copies)


class HalfWeights(nn.Module):
    """The same function in bf16, all but scalars; its parameters are the network's own, float32.

    Autocast casts each weight in a kernel of its own, and does not see weights under vmap.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor | None, **want: str | int) -> Any:
        """Return what the network says; see `Backbone`."""
        wide = {name: p for name, p in self.net.named_parameters() if p.ndim}
        half = DtypeCopy.apply(torch.bfloat16, *wide.values())
        return functional_call(self.net, dict(zip(wide, half, strict=True)), inputs, want)
