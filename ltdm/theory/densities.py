"""Gaussian mixtures under noise, with exact densities and scores.

If x_0 follows a Gaussian mixture, so does x = signal x_0 + std eps: a component N(m, diag s^2)
becomes N(signal m, diag(signal^2 s^2 + std^2)). Density and score are therefore closed forms at
every noise level. All tensors are float64.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ltdm.data._mixtures import Gaussian


class Mixture:
    """The density of one class: a mixture of Gaussians with diagonal covariance in d dimensions.

    Component weights are normalised to sum to 1.
    """

    def __init__(self, components: Sequence[Gaussian]):
        self.means = torch.tensor([c.mean for c in components], dtype=torch.float64)
        self.stds = torch.tensor([c.std for c in components], dtype=torch.float64)
        weights = torch.tensor([c.weight for c in components], dtype=torch.float64)
        self.weights = weights / weights.sum()

    def log_density(self, x: Tensor, signal: float = 1.0, std: float = 0.0) -> Tensor:
        """Return log p(x) at a noise level, (...), for points x (..., d)."""
        return self._component_terms(x, signal, std)[0].logsumexp(-1)

    def score(self, x: Tensor, signal: float = 1.0, std: float = 0.0) -> Tensor:
        """Return the gradient of log p at points x (..., d) at a noise level, (..., d)."""
        logs, scores = self._component_terms(x, signal, std)
        return (logs.softmax(-1)[..., None] * scores).sum(-2)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Return n noise-free samples, (n, d)."""
        component = torch.multinomial(self.weights, n, replacement=True, generator=rng)
        eps = torch.randn(n, self.means.shape[1], generator=rng, dtype=torch.float64)
        return self.means[component] + self.stds[component] * eps

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return the noise-free mean (d,) and covariance (d, d)."""
        mean = self.weights @ self.means
        deviations = self.means - mean
        within = (self.weights @ self.stds.square()).diag()
        return mean, within + deviations.T @ (self.weights[:, None] * deviations)

    def _component_terms(self, x: Tensor, signal: float, std: float) -> tuple[Tensor, Tensor]:
        """Return each component's log(weight density) (..., k), and its score (..., k, d)."""
        variance = signal**2 * self.stds.square() + std**2
        offset = x[..., None, :] - signal * self.means
        log_norm = self.weights.log() - (2 * math.pi * variance).log().sum(-1) / 2
        return log_norm - (offset.square() / variance).sum(-1) / 2, -offset / variance
