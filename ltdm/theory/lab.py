"""A sweep: games for all its seeds, tails and betas at once, solved, trained and measured.

A row's `metric` is one of:

- `loss`: a player's denoising loss on its own noisy points;
- `generalisation-gap`: how much larger that loss is on fresh points;
- `nash-gap`: how much the player's best response would lower its cost;
- `own-gap`: how far its own cost, without the mutual term, is above its minimum;
- `frechet-<sampler>`, `kl`: distances of the network's samples and density from the class;
- `step`: the step size; `step-bound`: the largest that converges (first seed and tail only).

Its `group` is a class, or `worst`: the class with the largest value.
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
from ltdm.theory.measures import ModelMetrics
from ltdm.theory.names import WORST
from ltdm.theory.options import Sweep
from ltdm.theory.points import Points, rng

MATRIX_MEMORY = 2**28
"""Bytes of the step matrices P of the seeds that run at once; peak memory is six times that."""
ROUNDING = 1e-18  # own gaps below it are rounding errors and count as 0


class SweepResult(NamedTuple):
    """The rows of a sweep, and the networks of its first seed.

    Columns of the rows: metric, seed, tail, beta, steps, group, value and error. `steps` is
    infinite at the equilibrium; tail and beta are NaN for the exact scores.
    """

    rows: pd.DataFrame
    W: np.ndarray  # the first layer's weights of points, (d, m)
    U: np.ndarray  # its weights of the noise level, (3, m)
    A: np.ndarray  # the players' weights after the last step, (tails, betas, C, m, d)


def run(sweep: Sweep) -> SweepResult:
    """Run a sweep, as many seeds at once as fit into MATRIX_MEMORY.

    Raises:
        LtdmError: An equilibrium is badly conditioned, or training diverges.
    """
    batch = max(1, MATRIX_MEMORY // sweep.matrix_bytes)
    rows: list[pd.DataFrame] = []
    first_seed: tuple[np.ndarray, ...] = ()
    with Progress("theory", sweep.seeds, "seeds") as progress:
        for start in range(0, sweep.seeds, batch):
            seeds = list(range(start, min(start + batch, sweep.seeds)))
            sweep_run = SweepRun(sweep, seeds)
            rows += sweep_run.measure()
            first_seed = first_seed or tuple(
                t[0].numpy() for t in (sweep_run.net.W, sweep_run.net.U, sweep_run.final_weights)
            )
            progress.advance(len(seeds))
    return SweepResult(pd.concat(rows, ignore_index=True), *first_seed)


class SweepRun:
    """Some seeds of a sweep; tensors are (S seeds, N tails, B betas, C classes, ...).

    `fresh` are costs on fresh points. `control` are weights fitted to other fresh points: players
    that have not seen their training points, used as control variate.
    """

    final_weights: Tensor  # weights after the last step, set by `measure`

    def __init__(self, sweep: Sweep, seeds: list[int]):
        self.sweep, self.seeds = sweep, seeds
        densities = [Mixture(parts) for parts in sweep.classes.classes.values()]
        process, layers = vp.build(vp.Options()), (sweep.width, sweep.classes.dimension)
        self.net = RandomFeatures.sample([rng("layer", seed) for seed in seeds], *layers)
        costs, fresh, control = [], [], []
        for seed in seeds:
            net = RandomFeatures.sample([rng("layer", seed)], *layers)
            points = Points(densities, process, net, seed)
            costs.append(points.training_costs(sweep.head, sweep.tails, sweep.noise_draws))
            fresh.append(points.fresh_costs("unseen"))
            control.append(points.fresh_costs("known").minimiser(sweep.ridge))
        self.costs = Costs(*(part[:, :, None] for part in Costs.stack(costs)))
        self.fresh = Costs(*(part[:, None, None] for part in Costs.stack(fresh)))
        self.control = torch.stack(control)[:, None, None]
        self.game = Game(self.costs, torch.tensor(sweep.betas, dtype=torch.float64), sweep.ridge)
        self.metrics = ModelMetrics(sweep, densities, process, self.net, seeds)

    def measure(self) -> Iterator[pd.DataFrame]:
        """Solve the games, train the players, and yield rows; raises what `run` raises."""
        game, sweep = self.game, self.sweep
        nash = game.equilibrium()
        yield from self._cost_rows(nash, math.inf)
        step = self.step_sizes()
        yield self._game_rows("step", step, 1)
        if 0 in self.seeds and sweep.update_order == "simultaneous":
            yield self._game_rows("step-bound", game.step_bound((0, 0))[None, None], 1)
        P = game.step_map(step, sweep.update_order == "sequential")
        for steps, error in game.errors(-nash, P, sweep.steps):
            if not (error.flatten(-3).norm(dim=-1) <= 2 * nash.flatten(-3).norm(dim=-1)).all():
                raise LtdmError(
                    f"training diverged: after {steps} steps a player is more than twice as far"
                    " from the equilibrium as at the start; lower the sweep's step"
                    f" ({sweep.step:g})"
                )
            yield self._game_rows("nash-gap", game.gap(game.apply_G(error)).amax(-1), steps)
            if steps in sweep.steps:
                self.final_weights = nash + error
                yield from self._cost_rows(self.final_weights, steps)
                for metric, estimate in self.metrics.evaluate(self.final_weights).items():
                    yield self._class_rows(metric, estimate.value, steps, estimate.error)
        for metric, value in self.metrics.evaluate_exact().items():
            yield self._class_rows(metric, value, steps, exact=True)

    def step_sizes(self) -> Tensor:
        """Return the step size of each game, (S, N, B)."""
        safe = self.game.safe_step()
        if self.sweep.shared_step:
            safe = safe.amin((1, 2), keepdim=True).expand_as(safe)
        return self.sweep.step * safe

    def _cost_rows(self, A: Tensor, steps: float) -> Iterator[pd.DataFrame]:
        """Yield the rows that follow from costs alone, for weights A (S, N, B, C, m, d)."""
        yield self._class_rows("loss", self.costs.loss(A), steps)
        # `control` has seen neither set of points, so its gap is sampling noise alone.
        gap, noise = (self.fresh.loss(w) - self.costs.loss(w) for w in (A, self.control))
        yield self._class_rows("generalisation-gap", gap - noise, steps)
        own = self.costs.excess_cost(A, self.sweep.ridge).amax(-1)
        yield self._game_rows("own-gap", own.where(own > ROUNDING, 0.0), steps)

    def _class_rows(
        self,
        metric: str,
        value: Tensor,
        steps: float,
        error: Tensor | None = None,
        exact: bool = False,
    ) -> pd.DataFrame:
        """Return the rows of each class and of the worst, from values (S, N, B, C)."""
        error = torch.full_like(value, math.nan) if error is None else error
        worst = value.argmax(-1, keepdim=True)
        value, error = (torch.cat([t, t.gather(-1, worst)], dim=-1) for t in (value, error))
        class_rows = [
            self._game_rows(metric, value[..., k], steps, error[..., k], group, exact)
            for k, group in enumerate([*self.sweep.classes.classes, WORST])
        ]
        return pd.concat(class_rows, ignore_index=True)

    def _game_rows(
        self,
        metric: str,
        value: Tensor,
        steps: float,
        error: Tensor | None = None,
        group: str = WORST,
        exact: bool = False,
    ) -> pd.DataFrame:
        """Return the rows of one group from values (S, N, B), or (S, 1, 1) for the exact scores.

        Values may be of the first seeds, tails and betas alone.
        """
        tails, betas = ([(math.nan,)] * 2) if exact else (self.sweep.tails, self.sweep.betas)
        axes = self.seeds, tails, betas
        keys = pd.MultiIndex.from_product(
            [axis[:size] for axis, size in zip(axes, value.shape, strict=True)]
        )
        rows = keys.to_frame(index=False, name=["seed", "tail", "beta"])
        return rows.assign(
            metric=metric,
            group=group,
            steps=float(steps),
            value=value.flatten().numpy(),
            error=math.nan if error is None else error.flatten().numpy(),
        )
