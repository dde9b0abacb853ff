"""EDM2's magnitude-preserving layers: for inputs of root mean square 1, so are the outputs.

Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
2024; equation numbers are that paper's.
"""

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

EPSILON = 1e-4
"""Added to norms, so that zeros are not divided by zero; it shrinks unit vectors by as much."""


def rms_normalise(x: Tensor, dim: int | tuple[int, ...] = 1) -> Tensor:
    """Return x / (1e-4 + rms), the root mean square over `dim`, computed in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True, dtype=dtype)
    rms_per_norm = math.sqrt(norm.numel() / x.numel())
    return x / (EPSILON + norm * rms_per_norm).to(x.dtype)


def mp_silu(x: Tensor) -> Tensor:
    """Return SiLU divided by its root mean square for standard normal x (equation 81)."""
    return nnf.silu(x) / 0.596


def mp_sum(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Return (1 - t) a + t b, rescaled to the magnitude of uncorrelated a and b (equation 88)."""
    return ((1 - t) * a + t * b) / math.hypot(1 - t, t)


def mp_cat(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """Concatenate the channels of a and b, with weights 1 - t and t (equation 103).

    (B, Ca, ...) and (B, Cb, ...) give (B, Ca + Cb, ...). The squared magnitudes of a and b are then
    in the ratio (1 - t)^2 to t^2, whatever their numbers of channels.
    """
    width_a, width_b = a.shape[1], b.shape[1]
    scale = math.sqrt((width_a + width_b) / ((1 - t) ** 2 + t**2))
    parts = [scale * (1 - t) / math.sqrt(width_a) * a, scale * t / math.sqrt(width_b) * b]
    return torch.cat(parts, dim=1)


class MPLayer(nn.Module):
    """A linear layer or convolution with forced weight normalisation (equations 47, 66).

    Each row of the weights keeps the root mean square 1 and is divided by the square root of its
    length in the forward pass. `normalise_weights` must run after every optimiser step. The paper
    does so in the forward pass, which would change weights between two calls of one objective.
    """

    def __init__(self, width: int, out: int, *kernel: int, rng: torch.Generator | None = None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, width, *kernel, generator=rng))
        self.dims = tuple(range(-1 - len(kernel), 0))
        self.normalise_weights()

    @torch.no_grad()
    def normalise_weights(self) -> None:
        """Give each row of the weights the root mean square 1, in place."""
        self.weight.copy_(self._unit_weight())

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """Map (B, width, ...) to (B, out, ...); `gain` multiplies the weights."""
        weight = self._unit_weight() * (gain / math.sqrt(self.weight[0].numel()))
        if weight.ndim == 2:
            return nnf.linear(x, weight)
        return nnf.conv2d(x, weight, padding=weight.shape[-1] // 2)

    def _unit_weight(self) -> Tensor:
        """Return the weights, or a stack of them, with rows of rms 1; computed in float32."""
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        return rms_normalise(weight, self.dims).to(self.weight.dtype)


class MPEmbedding(nn.Module):
    """One vector per class that keeps the root mean square 1.

    EDM2 has a linear layer of one-hot labels instead, whose rows run over the classes. There, a
    class whose weights grow, since it is more frequent, shrinks the weights of the others.
    """

    def __init__(self, num_vectors: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_vectors, width))
        self.normalise_weights()

    @torch.no_grad()
    def normalise_weights(self) -> None:
        """Give each vector the root mean square 1, in place."""
        self.weight.copy_(rms_normalise(self.weight, dim=-1))

    def forward(self, labels: Tensor) -> Tensor:
        """Map labels (B,) to vectors (B, width)."""
        return rms_normalise(nnf.embedding(labels, self.weight), dim=-1)


class Fourier(nn.Module):
    """cos(2 pi (f a + p)) for frozen draws f ~ N(0, 1), p ~ U(0, 1) (equation 75 without 2^.5)."""

    frequency: Tensor
    phase: Tensor

    def __init__(self, num_features: int, rng: torch.Generator | None = None):
        super().__init__()
        self.register_buffer("frequency", torch.randn(num_features, generator=rng))
        self.register_buffer("phase", torch.rand(num_features, generator=rng))

    def forward(self, a: Tensor) -> Tensor:
        """Map (B,) to (B, num_features)."""
        turns = a.to(self.frequency.dtype)[:, None] * self.frequency + self.phase
        return (2 * math.pi * turns).cos()


def normalise_weights(*modules: nn.Module) -> None:
    """Normalise the weights of every `MPLayer` and `MPEmbedding` within the modules, in place."""
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, MPLayer | MPEmbedding):
                layer.normalise_weights()
