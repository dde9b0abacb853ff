"""A sweep: games for all its seeds, tails and weights at once, trained, solved and measured.

A row's `metric` is one of: `loss`, a player's denoising loss on its own noisy points;
`generalisation-gap`, how much larger it is on fresh ones; `nash-gap`, what the player would gain by
its best response; `own-gap`, how far its own cost without its peers is above the lowest;
`frechet-<sampler>` and `kl`, of what its network draws; `step`, the step size, and `step-bound`,
the largest that converges, of the first seed and tail alone. Their group is a class, or `worst`:
the largest.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ltdm.diffusion import vp
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.progress import Progress
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.game import Costs, Game
from ltdm.theory.measures import Judge
from ltdm.theory.options import WORST, Sweep
from ltdm.theory.points import Points, rng

MEMORY = 2**28
"""Bytes of the matrices of updates of the seeds that run at once; all in all, six times that."""
ROUNDING = 1e-18  # gaps of own costs below which nothing but rounding is left


class Found(NamedTuple):
    """What a sweep gives: its rows, and the networks of its first seed.

    Rows have columns metric, seed, tail, beta, steps, group, value and error. Those of the
    equilibrium have infinite `steps`; those of the exact scores have no beta.
    """

    rows: pd.DataFrame
    W: np.ndarray  # the first layer, (d, m)
    U: np.ndarray  # its part for levels, (3, m)
    A: np.ndarray  # the players' weights after the last update, (tails, betas, C, m, d)


def run(sweep: Sweep) -> Found:
    """Run a sweep, as many seeds at once as fit into memory.

    Raises:
        LtdmError: An equilibrium is badly conditioned, or training leads away from it.
    """
    together = max(1, MEMORY // sweep.matrix_bytes)
    rows: list[pd.DataFrame] = []
    shown: tuple[np.ndarray, ...] = ()
    with Progress("theory", sweep.seeds, "seeds") as progress:
        for start in range(0, sweep.seeds, together):
            seeds = list(range(start, min(start + together, sweep.seeds)))
            lab = Lab(sweep, seeds)
            rows += lab.measured()
            shown = shown or tuple(t[0].numpy() for t in (lab.net.W, lab.net.U, lab.trained))
            progress.advance(len(seeds))
    return Found(pd.concat(rows, ignore_index=True), *shown)


class Lab:
    """Some seeds of a sweep; tensors are (S seeds, N tails, B weights, C classes, ...).

    `unseen` are the costs of fresh points; `known` are the weights of players who know their class,
    from other fresh points still.
    """

    trained: Tensor  # weights after the last update, once measured

    def __init__(self, sweep: Sweep, seeds: list[int]):
        self.sweep, self.seeds = sweep, seeds
        densities = [Mixture(parts) for parts in sweep.classes.classes.values()]
        process, layers = vp.build(vp.Options()), (sweep.width, sweep.classes.dimension)
        self.net = RandomFeatures.drawn([rng("layer", seed) for seed in seeds], *layers)
        costs, unseen, known = [], [], []
        for seed in seeds:
            one = RandomFeatures.drawn([rng("layer", seed)], *layers)
            points = Points(densities, process, one, seed)
            costs.append(points.train(sweep.head, sweep.tails, sweep.noise_draws))
            unseen.append(points.unseen("unseen"))
            known.append(points.unseen("known").lowest(sweep.ridge))
        self.costs = Costs(*(part[:, :, None] for part in Costs.stacked(costs)))
        self.unseen = Costs(*(part[:, None, None] for part in Costs.stacked(unseen)))
        self.known = torch.stack(known)[:, None, None]
        self.game = Game(self.costs, torch.tensor(sweep.betas, dtype=torch.float64), sweep.ridge)
        self.judge = Judge(sweep, densities, process, self.net, seeds)

    def measured(self) -> Iterator[pd.DataFrame]:
        """Solve, train and measure; give rows. It raises what `run` does."""
        game, sweep = self.game, self.sweep
        nash = game.equilibrium()
        yield from self._of_costs(nash, math.inf)
        step = self.step()
        yield self._rows("step", step, 1)
        if 0 in self.seeds and sweep.update_order == "simultaneous":
            yield self._rows("step-bound", game.step_bound((0, 0))[None, None], 1)
        P = game.update_map(step, sweep.update_order == "sequential")
        for steps, error in game.errors(-nash, P, sweep.steps):
            if not (error.flatten(-3).norm(dim=-1) <= 2 * nash.flatten(-3).norm(dim=-1)).all():
                raise LtdmError(
                    f"after {steps} updates players are twice as far from the equilibrium as at"
                    f" first; lower the sweep's step ({sweep.step:g})"
                )
            yield self._rows("nash-gap", game.gap(game.pull(error)).amax(-1), steps)
            if steps in sweep.steps:
                self.trained = nash + error
                yield from self._of_costs(self.trained, steps)
                for metric, mean in self.judge.models(self.trained).items():
                    yield self._by_class(metric, mean.value, steps, mean.error)
        for metric, value in self.judge.exact().items():
            yield self._by_class(metric, value, steps, exact=True)

    def step(self) -> Tensor:
        """Return the step size of each game, (S, N, B)."""
        safe = self.game.safe_step()
        if self.sweep.shared_step:
            safe = safe.amin((1, 2), keepdim=True).expand_as(safe)
        return self.sweep.step * safe

    def _of_costs(self, A: Tensor, steps: float) -> Iterator[pd.DataFrame]:
        """Give what the costs say of weights (S, N, B, C, m, d)."""
        yield self._by_class("loss", self.costs.loss(A), steps)
        # Neither has seen the points that `known` is from: its own gap is the noise of the draws.
        gap, noise = (self.unseen.loss(w) - self.costs.loss(w) for w in (A, self.known))
        yield self._by_class("generalisation-gap", gap - noise, steps)
        own = self.costs.excess(A, self.sweep.ridge).amax(-1)
        yield self._rows("own-gap", own.where(own > ROUNDING, 0.0), steps)

    def _by_class(self, metric: str, value: Tensor, steps: float, error: Tensor | None = None,
                  exact: bool = False) -> pd.DataFrame:  # fmt: skip
        """Return rows of (S, N, B, C): those of each class, and of the worst."""
        error = torch.full_like(value, math.nan) if error is None else error
        worst = value.argmax(-1, keepdim=True)
        value, error = (torch.cat([t, t.gather(-1, worst)], dim=-1) for t in (value, error))
        made = [
            self._rows(metric, value[..., k], steps, error[..., k], group, exact)
            for k, group in enumerate([*self.sweep.classes.classes, WORST])
        ]
        return pd.concat(made, ignore_index=True)

    def _rows(self, metric: str, value: Tensor, steps: float, error: Tensor | None = None,
              group: str = WORST, exact: bool = False) -> pd.DataFrame:  # fmt: skip
        """Return rows of the first (S, N, B); of (S, 1, 1) for the exact scores."""
        axes = (self.seeds, *([(math.nan,)] * 2 if exact else (self.sweep.tails, self.sweep.betas)))
        keys = pd.MultiIndex.from_product(
            [axis[:number] for axis, number in zip(axes, value.shape, strict=True)]
        )
        rows = keys.to_frame(index=False, name=["seed", "tail", "beta"])
        return rows.assign(
            metric=metric, group=group, steps=float(steps), value=value.flatten().numpy(),
            error=math.nan if error is None else error.flatten().numpy(),
        )  # fmt: skip
