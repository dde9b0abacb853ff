"""The score network that the theory is about: two layers, the first one frozen.

    F_A(x, t) = A^T phi(x, t),   phi_j(x, t) = max(0, w_j . x + u_j . e(t)) / sqrt(m),

with w_j ~ N(0, I / 4), u_j ~ N(0, I) and e(t) = (1, signal_t, std_t). As for every network here, F
is the noise's estimate; the score is -F / std_t. Only A is trained, so costs are quadratic in it.
Source: the model of Li et al., "On the Generalization Properties of Diffusion Models", NeurIPS
2023, which IGD's theory takes over.
"""

import math

import torch
from torch import Tensor

FIRST_LAYER_STD = (
    0.5  # standard deviation of the first layer's weights: ramps as wide as the mixtures
)


class RandomFeatures:
    """First layers of S experiments at once: weights W (S, d, m) of points, U (S, 3, m) of e(t)."""

    def __init__(self, W: Tensor, U: Tensor):
        self.W, self.U, self.width = W, U, W.shape[-1]

    @classmethod
    def sample(cls, rngs: list[torch.Generator], width: int, d: int) -> "RandomFeatures":
        """Draw a first layer with each generator."""
        layers = [torch.randn(width, d + 3, generator=g, dtype=torch.float64) for g in rngs]
        W, U = torch.stack(layers).mT.split([d, 3], dim=1)
        return cls(W * FIRST_LAYER_STD, U)

    def __call__(self, x: Tensor, signal: Tensor, std: Tensor) -> Tensor:
        """Return phi of points x (S, n, d) at levels of their own (S, n): (S, n, m)."""
        embedding = torch.stack([torch.ones_like(signal), signal, std], dim=-1)
        return (x @ self.W + embedding @ self.U).clamp_(min=0).div_(math.sqrt(self.width))

    def predict(self, A: Tensor, x: Tensor, signal: float, std: float) -> Tensor:
        """Return F of models A (S, R, m, d) at points x (S, R, n, d), all at one level."""
        return self._preactivations(x, signal, std).clamp_(min=0) @ (A / math.sqrt(self.width))

    def predict_with_divergence(
        self, A: Tensor, x: Tensor, signal: float, std: float
    ) -> tuple[Tensor, Tensor]:
        """Return F as `predict` does, and its divergence by x, (S, R, n)."""
        preactivations, A = self._preactivations(x, signal, std), A / math.sqrt(self.width)
        unit_divergence = (self.W.mT[:, None] * A).sum(-1, keepdim=True)
        divergence = ((preactivations > 0).to(A.dtype) @ unit_divergence).squeeze(-1)
        return preactivations.clamp_(min=0) @ A, divergence

    def _preactivations(self, x: Tensor, signal: float, std: float) -> Tensor:
        level_offsets = (torch.tensor([1.0, signal, std], dtype=x.dtype) @ self.U)[:, None]
        return torch.baddbmm(level_offsets, x.flatten(1, 2), self.W).unflatten(1, x.shape[1:3])
