"""The theory's noise predictor: random ReLU features with a linear read-out.

    F_A(x, t) = A^T phi(x, t),   phi_j(x, t) = max(0, w_j . x + u_j . e(t)) / sqrt(m),

with w_j ~ N(0, I / 4), u_j ~ N(0, I) and e(t) = (1, signal_t, std_t). As everywhere in ltdm, F
predicts the noise; the score is -F / std_t. The first layer (w, u) is frozen and only A is trained,
so costs are quadratic in A.
Source: the model of Li et al., "On the Generalization Properties of Diffusion Models", NeurIPS
2023, which IGD's theory adopts.
"""

import math

import torch
from torch import Tensor

FIRST_LAYER_STD = 0.5
"""Standard deviation of the w_j: features then vary on the scale of the mixtures."""


class RandomFeatures:
    """First layers of S seeds at once: W (S, d, m) acts on points, U (S, 3, m) on e(t)."""

    def __init__(self, W: Tensor, U: Tensor):
        self.W, self.U, self.width = W, U, W.shape[-1]

    @classmethod
    def sample(cls, rngs: list[torch.Generator], width: int, d: int) -> "RandomFeatures":
        """Sample a first layer of `width` features for d dimensions from each generator."""
        layers = [torch.randn(width, d + 3, generator=g, dtype=torch.float64) for g in rngs]
        W, U = torch.stack(layers).mT.split([d, 3], dim=1)
        return cls(W * FIRST_LAYER_STD, U)

    def __call__(self, x: Tensor, signal: Tensor, std: Tensor) -> Tensor:
        """Return phi (S, n, m) at points x (S, n, d), each with its own noise level (S, n)."""
        embedding = torch.stack([torch.ones_like(signal), signal, std], dim=-1)
        return (x @ self.W + embedding @ self.U).clamp_(min=0).div_(math.sqrt(self.width))

    def predict(self, A: Tensor, x: Tensor, signal: float, std: float) -> Tensor:
        """Return F of R models A (S, R, m, d) at points x (S, R, n, d), all at one noise level."""
        return self._preactivations(x, signal, std).clamp_(min=0) @ (A / math.sqrt(self.width))

    def predict_with_divergence(
        self, A: Tensor, x: Tensor, signal: float, std: float
    ) -> tuple[Tensor, Tensor]:
        """Return F as `predict` does, and its divergence with respect to x, (S, R, n)."""
        preactivations, A = self._preactivations(x, signal, std), A / math.sqrt(self.width)
        unit_divergence = (self.W.mT[:, None] * A).sum(-1, keepdim=True)
        divergence = ((preactivations > 0).to(A.dtype) @ unit_divergence).squeeze(-1)
        return preactivations.clamp_(min=0) @ A, divergence

    def _preactivations(self, x: Tensor, signal: float, std: float) -> Tensor:
        level_offsets = (torch.tensor([1.0, signal, std], dtype=x.dtype) @ self.U)[:, None]
        return torch.baddbmm(level_offsets, x.flatten(1, 2), self.W).unflatten(1, x.shape[1:3])
