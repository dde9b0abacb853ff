"""The points that players learn from and are measured on, and the moments that costs are of."""

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

UNSEEN = 50_000
"""Fresh draws, each with one level and noise, that a class's loss is also taken over."""
BLOCK = 10_000  # rows at once
Noisy = tuple[Tensor, Tensor, Tensor]
"""Points (n, d), their levels (n,) and noises (n, d)."""


def counts(head: int, tail: int, classes: int) -> list[int]:
    """Return the points of each class, from head to tail along an exponential (profile `exp`)."""
    between = [int(head * (tail / head) ** (c / (classes - 1))) for c in range(classes - 1)]
    return [*between, tail]


def rng(purpose: str, seed: int, label: int = 0) -> torch.Generator:
    """Return the generator that owns a purpose's draws of a seed and class."""
    return torch.Generator().manual_seed(derive_seed(f"theory {purpose} {label}", seed))


def training_points(density: Mixture, head: int, seed: int, label: int) -> Tensor:
    """Return a class's points (head, d), of which a smaller class has the first."""
    return density.draw(head, rng("points", seed, label))


class Points:
    """One seed's points; the players' features are of this seed alone."""

    def __init__(self, densities: Sequence[Mixture], process: VP, net: RandomFeatures, seed: int):
        self.densities, self.net, self.seed = densities, net, seed
        self.T = process.T
        self.scales = torch.tensor([process.scales(t) for t in range(self.T)], dtype=torch.float64)

    def train(self, head: int, tails: Sequence[int], noise_draws: int) -> Costs:
        """Return the costs of each tail's training set, all (N, C, ...).

        A smaller class is the beginning of a larger one, whatever else is in the sweep: each class
        is drawn `head` points long, and each point with `noise_draws` noises.
        """
        by_class = zip(*(counts(head, tail, len(self.densities)) for tail in tails), strict=True)
        players = [
            self._growing(c, head, numbers, noise_draws) for c, numbers in enumerate(by_class)
        ]
        return Costs.stacked(players, dim=1)

    def unseen(self, purpose: str) -> Costs:
        """Return the costs of fresh draws, close to the law's own, all (C, ...)."""
        players = []
        for c, density in enumerate(self.densities):
            draw = rng(purpose, self.seed, c)
            noisy = self._noisy(density.draw(UNSEEN, draw), draw)
            players.append(_divided(self._moments(noisy, 0, UNSEEN), UNSEEN))
        return Costs.stacked(players)

    def _growing(self, c: int, head: int, numbers: Sequence[int], noise_draws: int) -> Costs:
        """Return a class's costs at each of some numbers of points, all (N, ...)."""
        points = training_points(self.densities[c], head, self.seed, c)
        noisy = self._noisy(
            points.repeat_interleave(noise_draws, dim=0), rng("noise", self.seed, c)
        )
        ends = sorted(set(numbers))
        parts = (
            self._moments(noisy, a * noise_draws, b * noise_draws) for a, b in pairwise([0, *ends])
        )
        sums = dict(zip(ends, accumulate(parts, _added), strict=True))
        return Costs.stacked(_divided(sums[n], n * noise_draws) for n in numbers)

    def _noisy(self, x0: Tensor, draw: torch.Generator) -> Noisy:
        """Give each point (n, d) a level and a noise of its own."""
        level = torch.randint(self.T, (len(x0),), generator=draw)
        return x0, level, torch.randn(x0.shape, generator=draw, dtype=x0.dtype)

    def _moments(self, noisy: Noisy, begin: int, end: int) -> Costs:
        """Return the sums over rows of what costs are the means of."""
        starts = range(begin, end, BLOCK)
        return reduce(_added, (self._block(noisy, a, min(a + BLOCK, end)) for a in starts))

    def _block(self, noisy: Noisy, begin: int, end: int) -> Costs:
        x0, level, eps = (part[begin:end] for part in noisy)
        signal, std = self.scales[level].unbind(-1)
        x = signal[:, None] * x0 + std[:, None] * eps
        phi = self.net(x[None], signal[None], std[None])[0]
        heard = phi * (level / self.T)[:, None]
        return Costs(phi.T @ phi, phi.T @ heard, phi.T @ eps, eps.square().sum())


def _added(one: Costs, other: Costs) -> Costs:
    return Costs(*map(torch.add, one, other))


def _divided(sums: Costs, n: int) -> Costs:
    return Costs(*(part / n for part in sums))
