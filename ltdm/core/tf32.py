"""TF32 emulated on a CPU: the rounding that a GPU's tensor cores apply to operands of products.

TF32 keeps float32's exponent and the upper 10 of its 23 mantissa bits. The operands of products are
rounded to TF32, products are summed in float32, and all other operations stay in float32.
Source: NVIDIA, "NVIDIA A100 Tensor Core GPU Architecture", 2020. It does not say how ties are
rounded; here they are rounded to even.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

DROPPED_BITS = 13  # of float32's mantissa
_aten = torch.ops.aten
OPERAND_POSITIONS = {
    _aten.convolution: (0, 1),
    _aten.mm: (0, 1),
    _aten.addmm: (1, 2),
    _aten.bmm: (0, 1),
    _aten.baddbmm: (1, 2),
    _aten._scaled_dot_product_flash_attention_for_cpu: (0, 1, 2),
}
"""Positions of a product's operands among an operation's arguments; an added bias is no operand."""


def round_to_tf32(x: Tensor) -> Tensor:
    """Return float32 `x` of any shape rounded to TF32, half to even; NaN and infinities stay.

    Values that round to more than TF32's largest number become infinite.
    """
    bits = x.view(torch.int32)
    half = (1 << DROPPED_BITS - 1) - 1 + (bits >> DROPPED_BITS & 1)
    rounded = (bits + half) & -(1 << DROPPED_BITS)
    return torch.where(x.isfinite(), rounded.view(torch.float32), x)


class Tf32(TorchDispatchMode):
    """Context that rounds the float32 operands of convolutions, matrix products and attention.

    Attention as one operation rounds queries, keys and values; attention as two products also
    rounds its weights.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation on rounded operands."""
        kwargs, positions = kwargs or {}, OPERAND_POSITIONS.get(func.overloadpacket, ())
        if not positions:
            with self:  # in inference mode a layer is one operation; decompose it to its products
                result = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if result is NotImplemented else result
        args = [
            round_to_tf32(arg) if k in positions and arg.dtype == torch.float32 else arg
            for k, arg in enumerate(args)
        ]
        return func(*args, **kwargs)
