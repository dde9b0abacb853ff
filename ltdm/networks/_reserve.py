"""Low-rank adapters of a decoder's convolutions, the reserve, which can be left out of some rows.

A convolution with the weights W (out, in, k, k) computes with W + dW, where the product B A of
(out k, r k) and (r k, in k) holds dW in row-major order. As a matrix (out, in k k), dW has a rank
of up to r k k: for 256 channels and r = 25 that is 225 of 256. Averages of weights, such as EMA,
are those of A and of B, as in the released code; their product is formed afterwards.
Source: Hong et al., "Improving Diffusion Models for Class-Imbalanced Training Data via Capacity
Manipulation", ICLR 2026; the order and the first values are those of its released code.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

KERNEL = 3


@dataclass(frozen=True)
class PlainRows:
    """Rows of a batch that are computed a second time, without the reserve.

    They are the first `count`. With `shared` both times have one pass through the encoder and the
    middle blocks, and the same dropout masks in the decoder.
    """

    count: int = 0
    shared: bool = False

    def repeat(self, rows: Tensor) -> Tensor:
        """Return (B, ...) followed by its first `count` rows."""
        return torch.cat([rows, rows[: self.count]]) if self.count else rows


NO_PLAIN_ROWS = PlainRows()


class ReserveConv2d(nn.Conv2d):
    """A 3 x 3 convolution with adapters A and B of rank `ratio` times its smaller width.

    The rank is rounded down, but is at least 1. With the ratio 0 there are no adapters. Those that
    there are have no values before `init_reserve`.
    """

    def __init__(self, width: int, out: int, ratio: float):
        super().__init__(width, out, KERNEL, padding=KERNEL // 2)
        rank = max(int(ratio * min(width, out)), 1) * KERNEL
        shapes = {"reserve_A": (rank, width * KERNEL), "reserve_B": (out * KERNEL, rank)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)) if ratio else None)

    def init_reserve(self) -> None:
        """Draw A from Kaiming's normal law, of standard deviation 1 / sqrt(3 in k); B is zero."""
        if self.reserve_A is not None:
            nn.init.kaiming_normal_(self.reserve_A, math.sqrt(5))
            nn.init.zeros_(self.reserve_B)

    def full_weight(self) -> Tensor:
        """Return W + dW."""
        if self.reserve_A is None:
            return self.weight
        return self.weight + (self.reserve_B @ self.reserve_A).view_as(self.weight)

    @torch.no_grad()
    def remove_reserve(self, merge: bool) -> None:
        """Remove the adapters; `merge` adds dW to the weights first."""
        if merge:
            self.weight.copy_(self.full_weight())
        self.reserve_A = self.reserve_B = None

    def forward(self, x: Tensor, plain: PlainRows = NO_PLAIN_ROWS) -> Tensor:
        """Map (B, width, H, W) to (B, out, H, W); of `plain`, the repeated rows come last."""
        full = self.full_weight()
        if self.reserve_A is None or not plain.count:
            return self._conv_forward(x, full, self.bias)
        rows, repeated = x.tensor_split([len(x) - plain.count])
        parts = (rows, full), (repeated, self.weight)
        return torch.cat([self._conv_forward(each, weight, self.bias) for each, weight in parts])


class Dropout(nn.Dropout):
    """Dropout in which repeated rows may have the masks of the first ones."""

    def forward(self, x: Tensor, plain: PlainRows = NO_PLAIN_ROWS) -> Tensor:
        """Map (B, ...) to the same shape."""
        if not (plain.count and plain.shared and self.training):
            return super().forward(x)
        # At least float32, since bf16 would round 1 / (1 - p), which scales all of them.
        dtype = torch.promote_types(x.dtype, torch.float32)
        mask = nnf.dropout(torch.ones_like(x[: len(x) - plain.count], dtype=dtype), self.p)
        return (x * plain.repeat(mask)).to(x.dtype)


class Layers(nn.Sequential):
    """Layers one after the other, some of which may treat plain rows otherwise."""

    def forward(self, x: Tensor, plain: PlainRows = NO_PLAIN_ROWS) -> Tensor:
        """Apply the layers to (B, ...)."""
        for layer in self:
            takes_plain = isinstance(layer, ReserveConv2d | Dropout)
            x = layer(x, plain) if takes_plain else layer(x)
        return x


def init_reserve(net: nn.Module) -> None:
    """Draw a network's reserve, whose weights have no values before."""
    for module in net.modules():
        if isinstance(module, ReserveConv2d):
            module.init_reserve()


def remove_reserve(net: nn.Module, merge: bool = True) -> None:
    """Remove a network's reserve; `merge` adds it to the weights, at no cost per evaluation."""
    for module in net.modules():
        if isinstance(module, ReserveConv2d):
            module.remove_reserve(merge)
