"""Distances of the players' networks from their classes: Frechet distance and KL divergence."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ltdm.diffusion.vp import VP
from ltdm.plumbing.registry import Part
from ltdm.theory import flow
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.flow import Estimate
from ltdm.theory.options import Sweep
from ltdm.theory.points import rng

MAX_CACHED_FEATURES = 2**20
"""Feature values held at once: more do not fit into a processor's cache."""


class ModelMetrics:
    """Metrics of models of S seeds; all models of a seed and class get the same noise.

    `net` holds the models' first layers, one per seed.
    """

    def __init__(
        self,
        sweep: Sweep,
        densities: Sequence[Mixture],
        process: VP,
        net: RandomFeatures,
        seeds: list[int],
    ):
        self.sweep, self.densities, self.process = sweep, densities, process
        self.net, self.seeds = net, seeds
        self.times = flow.integration_times(process, sweep.sigma_min)

    def evaluate(self, A: Tensor) -> dict[str, Estimate]:
        """Return `kl`, `frechet-<sampler>` of weights (S, N, B, C, m, d), each (S, N, B, C)."""
        metrics = {"kl": self._per_class(self._kl, A)}
        for sampler in self.sweep.samplers:
            metrics[f"frechet-{sampler.name}"] = self._per_class(partial(self._frechet, sampler), A)
        return metrics

    def evaluate_exact(self) -> dict[str, Tensor]:
        """Return each `frechet-<sampler>` of the exact scores, (S, 1, 1, C)."""
        distances = {}
        for sampler in self.sweep.samplers:
            class_distances = [
                frechet(self.generate(sampler, self.exact_predictor(c), c, 1), *density.moments())
                for c, density in enumerate(self.densities)
            ]
            distances[f"frechet-{sampler.name}"] = torch.stack(class_distances, dim=-1)[:, None]
        return distances

    def exact_predictor(self, c: int) -> flow.NoisePredictor:
        """Return the exact F of class c: -std times its exact score."""

        def predict(x: Tensor, signal: float, std: float) -> Tensor:
            return -std * self.densities[c].score(x, signal, std)

        return predict

    def generate(self, sampler: Part, predict: flow.NoisePredictor, c: int, models: int) -> Tensor:
        """Return samples (S, models, n, d) of class c, drawn with F from the class's noise."""
        rngs = [rng("samples", seed, c) for seed in self.seeds]

        def noise() -> Tensor:
            shape = (self.sweep.samples, self.densities[c].means.shape[1])
            noises = [torch.randn(shape, generator=g, dtype=torch.float64) for g in rngs]
            return torch.stack(noises)[:, None].expand(-1, models, -1, -1)

        return flow.generate(predict, self.process, sampler, noise)

    def _per_class(self, metric: Callable[[Tensor, int], Estimate], A: Tensor) -> Estimate:
        """Apply a metric to weights (S, N, B, C, m, d), in chunks of models that fit the cache."""
        points = max(self.sweep.samples, self.sweep.kl_samples)
        chunk = max(1, MAX_CACHED_FEATURES // (len(self.seeds) * points * self.net.width))
        classes = []
        for c in range(A.shape[3]):
            parts = A[..., c, :, :].flatten(1, 2).split(chunk, dim=1)
            estimates = [metric(part, c) for part in parts]
            classes.append([torch.cat(t, 1) for t in zip(*estimates, strict=True)])
        return Estimate(*(torch.stack(t, -1).view(A.shape[:4]) for t in zip(*classes, strict=True)))

    def _frechet(self, sampler: Part, A: Tensor, c: int) -> Estimate:
        """Return the squared Frechet distances (S, R) of models (S, R, m, d) from class c."""
        x = self.generate(sampler, partial(self.net.predict, A), c, A.shape[1])
        value = frechet(x, *self.densities[c].moments())
        return Estimate(value, torch.full_like(value, math.nan))

    def _kl(self, A: Tensor, c: int) -> Estimate:
        """Return KL(class c | model), (S, R), for models (S, R, m, d)."""
        signal, std = flow.signal_and_std(self.times[0])
        noisy = []
        for seed in self.seeds:
            g = rng("likelihoods", seed, c)
            x0 = self.densities[c].sample(self.sweep.kl_samples, g)
            noisy.append(signal * x0 + std * torch.randn(x0.shape, generator=g, dtype=x0.dtype))
        x = torch.stack(noisy)[:, None]
        log_p = self.densities[c].log_density(x, signal, std)
        x = x.expand(-1, A.shape[1], -1, -1)
        return flow.kl(partial(self.net.predict_with_divergence, A), log_p, self.times, x)


def frechet(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return the squared Frechet distance (...) of points (..., n, d) from given moments."""
    centred = x - x.mean(-2, keepdim=True)
    sample_covariance = centred.mT @ centred / (x.shape[-2] - 1)
    factor = torch.linalg.cholesky(covariance)
    roots = torch.linalg.eigvalsh(factor.T @ sample_covariance @ factor).clamp(min=0).sqrt().sum(-1)
    traces = sample_covariance.diagonal(dim1=-2, dim2=-1).sum(-1) + covariance.trace()
    return (x.mean(-2) - mean).square().sum(-1) + traces - 2 * roots
