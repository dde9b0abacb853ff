"""Noisy points that players train on or are measured on, and the moments of their costs."""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from ltdm.core.seeding import derive_seed
from ltdm.diffusion.vp import VP
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.game import Costs

FRESH_POINTS = 50_000
"""Fresh points per class, each with one noise level and noise, that its loss is measured on."""
CHUNK_ROWS = 10_000  # noisy points whose features are held at once
NoisyPoints = tuple[Tensor, Tensor, Tensor]
"""Points (n, d), their noise levels t (n,) and noises (n, d)."""


def class_counts(head: int, tail: int, classes: int) -> list[int]:
    """Return the points per class, from head to tail along an exponential (profile `exp`)."""
    between = [int(head * (tail / head) ** (c / (classes - 1))) for c in range(classes - 1)]
    return [*between, tail]


def rng(purpose: str, seed: int, label: int = 0) -> torch.Generator:
    """Return the generator of one purpose, seed and class, at its first draw."""
    return torch.Generator().manual_seed(derive_seed(f"theory {purpose} {label}", seed))


def training_points(density: Mixture, head: int, seed: int, label: int) -> Tensor:
    """Return the points (head, d) of class `label`; a smaller class has the first of them."""
    return density.sample(head, rng("points", seed, label))


class Points:
    """The points of one seed; `net` holds the first layer of this seed only."""

    def __init__(self, densities: Sequence[Mixture], process: VP, net: RandomFeatures, seed: int):
        self.densities, self.net, self.seed = densities, net, seed
        self.T = process.T
        self.scales = torch.tensor(
            [process.signal_and_std(t) for t in range(self.T)], dtype=torch.float64
        )

    def training_costs(self, head: int, tails: Sequence[int], noise_draws: int) -> Costs:
        """Return the costs of the training set of each of N tails, (N, C, ...).

        For each class `head` points are drawn, with `noise_draws` noises per point, and a smaller
        class takes the first: a tail's points do not depend on the sweep's other tails.
        """
        sizes_by_class = zip(
            *(class_counts(head, tail, len(self.densities)) for tail in tails), strict=True
        )
        class_costs = [
            self._nested_costs(c, head, sizes, noise_draws)
            for c, sizes in enumerate(sizes_by_class)
        ]
        return Costs.stack(class_costs, dim=1)

    def fresh_costs(self, purpose: str) -> Costs:
        """Return the costs (C, ...) on FRESH_POINTS fresh points: nearly those of the density."""
        class_costs = []
        for c, density in enumerate(self.densities):
            generator = rng(purpose, self.seed, c)
            noisy = self._add_noise(density.sample(FRESH_POINTS, generator), generator)
            class_costs.append(_divide(self._sum_moments(noisy, 0, FRESH_POINTS), FRESH_POINTS))
        return Costs.stack(class_costs)

    def _nested_costs(self, c: int, head: int, sizes: Sequence[int], noise_draws: int) -> Costs:
        """Return the costs (N, ...) of class c with each number of points in `sizes`."""
        points = training_points(self.densities[c], head, self.seed, c)
        noisy = self._add_noise(
            points.repeat_interleave(noise_draws, dim=0), rng("noise", self.seed, c)
        )
        ends = sorted(set(sizes))
        parts = (
            self._sum_moments(noisy, a * noise_draws, b * noise_draws)
            for a, b in pairwise([0, *ends])
        )
        sums = dict(zip(ends, accumulate(parts, _add), strict=True))
        return Costs.stack(_divide(sums[n], n * noise_draws) for n in sizes)

    def _add_noise(self, x0: Tensor, generator: torch.Generator) -> NoisyPoints:
        """Draw a noise level and a noise for each point (n, d)."""
        level = torch.randint(self.T, (len(x0),), generator=generator)
        return x0, level, torch.randn(x0.shape, generator=generator, dtype=x0.dtype)

    def _sum_moments(self, noisy: NoisyPoints, begin: int, end: int) -> Costs:
        """Return the costs' moments, summed instead of averaged, over rows begin to end."""
        starts = range(begin, end, CHUNK_ROWS)
        return reduce(
            _add, (self._chunk_moments(noisy, a, min(a + CHUNK_ROWS, end)) for a in starts)
        )

    def _chunk_moments(self, noisy: NoisyPoints, begin: int, end: int) -> Costs:
        x0, level, eps = (part[begin:end] for part in noisy)
        signal, std = self.scales[level].unbind(-1)
        x = signal[:, None] * x0 + std[:, None] * eps
        phi = self.net(x[None], signal[None], std[None])[0]
        weighted_phi = phi * (level / self.T)[:, None]
        return Costs(phi.T @ phi, phi.T @ weighted_phi, phi.T @ eps, eps.square().sum())


def _add(first: Costs, second: Costs) -> Costs:
    return Costs(*map(torch.add, first, second))


def _divide(sums: Costs, n: int) -> Costs:
    return Costs(*(part / n for part in sums))
