"""Layers that keep the size of what flows through them, as EDM2 has them.

Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
2024; equation numbers are that paper's.
"""

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

EPSILON = 1e-4
"""Keeps a vector of zeros from being divided by nothing; a unit vector loses as much."""


def rms_normalise(x: Tensor, dim: int | tuple[int, ...] = 1) -> Tensor:
    """Return x divided by its root mean square over `dim`, computed in float32 at least."""
    kind = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True, dtype=kind)
    size = math.sqrt(norm.numel() / x.numel())
    return x / (EPSILON + norm * size).to(x.dtype)


def mp_silu(x: Tensor) -> Tensor:
    """Return SiLU over its root mean square for standard normal x (equation 81)."""
    return nnf.silu(x) / 0.596


def mp_sum(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Return (1 - t) a + t b at the size that a and b have when unrelated (equation 88)."""
    return ((1 - t) * a + t * b) / math.hypot(1 - t, t)


def mp_cat(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """Return the channels of a and b, of which b's are a share t of the size (equation 103)."""
    wide, narrow = a.shape[1], b.shape[1]
    size = math.sqrt((wide + narrow) / ((1 - t) ** 2 + t**2))
    parts = [size * (1 - t) / math.sqrt(wide) * a, size * t / math.sqrt(narrow) * b]
    return torch.cat(parts, dim=1)


class MPLayer(nn.Module):
    """A layer, linear or a convolution, whose rows of weights keep the norm 1 (equations 47, 66).

    `normalise_weights` rescales the weights; it belongs after every optimiser step. In the forward pass, as the
    paper has it, it would change weights between two calls of one objective.
    """

    def __init__(self, width: int, out: int, *kernel: int, rng: torch.Generator | None = None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, width, *kernel, generator=rng))
        self.dims = tuple(range(-1 - len(kernel), 0))
        self.normalise_weights()

    @torch.no_grad()
    def normalise_weights(self) -> None:
        """Give each row of the weights the root mean square 1."""
        self.weight.copy_(self._unit())

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """Map (B, width, ...) to (B, out, ...); `gain` multiplies the weights."""
        weight = self._unit() * (gain / math.sqrt(self.weight[0].numel()))
        if weight.ndim == 2:
            return nnf.linear(x, weight)
        return nnf.conv2d(x, weight, padding=weight.shape[-1] // 2)

    def _unit(self) -> Tensor:
        """Return the weights with unit rows, worked out in float32; of a stack as well."""
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        return rms_normalise(weight, self.dims).to(self.weight.dtype)


class MPEmbedding(nn.Module):
    """A vector for each class whose root mean square stays 1, so none grows at another's cost.

    EDM2 has a linear layer instead, whose rows run over the classes: there, a class that is seen
    more often takes from the others' share.
    """

    def __init__(self, number: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(number, width))
        self.normalise_weights()

    @torch.no_grad()
    def normalise_weights(self) -> None:
        """Give each vector the root mean square 1."""
        self.weight.copy_(rms_normalise(self.weight, dim=-1))

    def forward(self, labels: Tensor) -> Tensor:
        """Map labels (B,) to vectors (B, width)."""
        return rms_normalise(nnf.embedding(labels, self.weight), dim=-1)


class Fourier(nn.Module):
    """cos(2 pi (f a + p)) for frozen draws f ~ N(0, 1), p ~ U(0, 1) (equation 75, without 2^.5)."""

    frequency: Tensor
    phase: Tensor

    def __init__(self, number: int, rng: torch.Generator | None = None):
        super().__init__()
        self.register_buffer("frequency", torch.randn(number, generator=rng))
        self.register_buffer("phase", torch.rand(number, generator=rng))

    def forward(self, a: Tensor) -> Tensor:
        """Map (B,) to (B, number)."""
        turns = a.to(self.frequency.dtype)[:, None] * self.frequency + self.phase
        return (2 * math.pi * turns).cos()


def normalise_weights(*modules: nn.Module) -> None:
    """Rescale the weights of every layer within modules that keeps their norm."""
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, MPLayer | MPEmbedding):
                layer.normalise_weights()
