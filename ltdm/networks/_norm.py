"""Group norm that keeps the memory layout of its input."""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

EPSILON = 1e-5


def group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Normalise (B, C, ...) to mean 0 and variance 1 in each group of channels; same shape.

    It is PyTorch's group norm, unless the network is compiled for a GPU: compiled by older releases
    (2.11), PyTorch's turns channels last into channels first, and each following convolution turns
    them back. Without the compiler PyTorch's is kept, since it needs fewer passes over memory than
    `decomposed_group_norm`.

    Source: Wu and He, "Group Normalization", ECCV 2018.
    """
    if x.is_cuda and torch.compiler.is_compiling():
        return decomposed_group_norm(x, groups, weight, bias)
    return nnf.group_norm(x, groups, weight, bias, EPSILON)


def decomposed_group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Compute group norm by elementary tensor operations; statistics are in float32 at least."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(1, (groups, -1))
    var, mean = torch.var_mean(wide, dim=tuple(range(2, wide.ndim)), correction=0, keepdim=True)
    unit = ((wide - mean) * (var + EPSILON).rsqrt()).flatten(1, 2)
    if weight is not None and bias is not None:
        shape = (-1, *[1] * (x.ndim - 2))
        unit = unit * weight.view(shape) + bias.view(shape)
    return unit.to(x.dtype)


class GroupNorm(nn.GroupNorm):
    """`group_norm` as a module, with a scale and a shift per channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to the same shape."""
        return group_norm(x, self.num_groups, self.weight, self.bias)
