"""A network that runs in bf16 copies of its float32 weights, all cast at once."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class DtypeCopy(torch.autograd.Function):
    """Casts many tensors to one type, and their gradients back, in a few kernels each."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return copies of the tensors in the type `dtype`."""
        ctx.dtypes = [t.dtype for t in tensors]
        ctx.set_materialize_grads(False)
        return _copy_as([dtype] * len(tensors), tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients in the types of the input tensors; None stays None."""
        present = [k for k, gradient in enumerate(gradients) if gradient is not None]
        copies = _copy_as([ctx.dtypes[k] for k in present], [gradients[k] for k in present])
        copy_at = dict(zip(present, copies, strict=True))
        return None, *(copy_at.get(k) for k in range(len(gradients)))


def _copy_as(dtypes: list[torch.dtype], tensors: Any) -> tuple[Tensor, ...]:
    copies = [torch.empty_like(t, dtype=d) for t, d in zip(tensors, dtypes, strict=True)]
    torch._foreach_copy_(copies, list(tensors))
    return tuple(copies)


class HalfWeights(nn.Module):
    """The network's function in bf16, except scalars; its parameters stay the float32 ones.

    Autocast, the alternative, casts each weight in its own kernel and ignores weights under vmap.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor | None, **options: Any) -> Any:
        """Return the network's outputs; see `Backbone`."""
        master = {name: p for name, p in self.net.named_parameters() if p.ndim}
        half = DtypeCopy.apply(torch.bfloat16, *master.values())
        return functional_call(self.net, dict(zip(master, half, strict=True)), inputs, options)
