"""TF32 on a CPU: what a GPU's tensor cores do to the operands of products, imitated.

TF32 keeps float32's exponent and the upper 10 of its 23 bits of mantissa. Operands are rounded to
that; their products are added up in float32, and whatever is no product stays as it was.
Source: NVIDIA, "NVIDIA A100 Tensor Core GPU Architecture", 2020. It does not say how ties are
rounded: here to even.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

DROPPED_BITS = 13  # bits of mantissa
_aten = torch.ops.aten
OPERAND_POSITIONS = {
    _aten.convolution: (0, 1),
    _aten.mm: (0, 1),
    _aten.addmm: (1, 2),
    _aten.bmm: (0, 1),
    _aten.baddbmm: (1, 2),
    _aten._scaled_dot_product_flash_attention_for_cpu: (0, 1, 2),
}
"""Places of the operands among an operation's arguments; what is added to a product is none."""


def round_to_tf32(x: Tensor) -> Tensor:
    """Return float32 x of any shape rounded to TF32, half to even; NaN and infinities stay.

    What is larger than TF32's largest number becomes infinite.
    """
    bits = x.view(torch.int32)
    half = (1 << DROPPED_BITS - 1) - 1 + (bits >> DROPPED_BITS & 1)
    kept = (bits + half) & -(1 << DROPPED_BITS)
    return torch.where(x.isfinite(), kept.view(torch.float32), x)


class Tf32(TorchDispatchMode):
    """Rounds the float32 operands of convolutions, matrix products and attention within a block.

    Attention as one operation rounds queries, keys and values; as two products, its weights too.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation on rounded operands."""
        kwargs, places = kwargs or {}, OPERAND_POSITIONS.get(func.overloadpacket, ())
        if not places:
            with self:  # in inference mode layers come whole, and their products are inside
                said = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if said is NotImplemented else said
        args = [
            round_to_tf32(a) if k in places and a.dtype == torch.float32 else a
            for k, a in enumerate(args)
        ]
        return func(*args, **kwargs)
