"""Benchmark of a theory lab sweep: one seed as a batch, beside the same games one at a time."""

import time
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.theory.lab import SweepRun
from ltdm.theory.options import Sweep

TOLERANCE = 1e-8
"""Allowed relative difference between weights by steps one by one and by squaring."""


def run(name: str, sweep: Sweep, steps: int) -> dict[str, Any]:
    """Time one seed of a sweep as a batch, and its first, middle and last game alone.

    A game alone draws its points, is solved, trained and sampled as in the sweep: once by squaring,
    as the sweep trains, and once by single steps, of which `steps` are timed and the rest is
    extrapolated. Times are in seconds per game.

    Raises:
        LtdmError: Single steps and squaring give different weights.
    """
    games = list(product(sweep.tails, sweep.betas))
    batch_seconds = _time_sweep(replace(sweep, seeds=1))[0] / len(games)
    timed_games = [games[0], games[len(games) // 2], games[-1]]
    single_seconds, stepping_seconds = 0.0, 0.0
    for tail, beta in timed_games:
        game = replace(sweep, seeds=1, tails=(tail,), betas=(beta,), figures=())
        seconds, sweep_run = _time_sweep(game)
        single_seconds += seconds / len(timed_games)
        stepping = time_gradient_steps(sweep_run, steps) * sweep.steps[-1] / steps
        stepping_seconds += stepping / len(timed_games)
    return {
        "sweep": name,
        "games": sweep.num_games,
        "steps": sweep.steps[-1],
        "threads": torch.get_num_threads(),
        "together_s": batch_seconds,
        "alone_s": single_seconds,
        "stepping_s": single_seconds + stepping_seconds,
        "alone_ratio": single_seconds / batch_seconds,
        "stepping_ratio": (single_seconds + stepping_seconds) / batch_seconds,
        "timed": {"games": len(timed_games), "steps": steps},
    }


def _time_sweep(sweep: Sweep) -> tuple[float, SweepRun]:
    """Return the seconds to run the first seed of a sweep, and that run."""
    start = time.perf_counter()
    sweep_run = SweepRun(sweep, [0])
    list(sweep_run.measure())
    return time.perf_counter() - start, sweep_run


def time_gradient_steps(sweep_run: SweepRun, steps: int) -> float:
    """Return the seconds of single gradient steps, after a check that squaring gives the same.

    The steps are simultaneous, whatever the sweep's update order; sequential ones take longer.
    """
    game = sweep_run.game
    step = sweep_run.step_sizes()[..., None, None, None]
    A = torch.zeros_like(game.B)
    start = time.perf_counter()
    for _ in range(steps):
        A = A - step * game.gradient(A)
    seconds = time.perf_counter() - start
    nash = game.equilibrium()
    *_, (_, error) = game.errors(-nash, game.step_map(sweep_run.step_sizes(), False), (steps,))
    difference = float((A - nash - error).norm() / A.norm())
    if not difference <= TOLERANCE:
        raise LtdmError(
            f"weights by single steps differ by {difference:.1e} from those by squaring, above"
            f" {TOLERANCE:.0e}; lower the sweep's step"
        )
    return seconds


def format_table(result: dict[str, Any]) -> str:
    """Return the measurements as text for a terminal."""
    measured = result["timed"]
    lines = [
        f"{result['sweep']}: {result['games']} games of {result['steps']:,} training steps,"
        f" {result['threads']} threads",
        f"all games of a seed as a batch: {result['together_s']:.3f} s per game",
        f"one game at a time, by squaring: {result['alone_s']:.2f} s, {result['alone_ratio']:.0f}"
        " times as long",
        f"one game at a time, step by step: {result['stepping_s']:.1f} s,"
        f" {result['stepping_ratio']:.0f} times as long (measured on {measured['games']} games and"
        f" {measured['steps']:,} steps of each)",
    ]
    return "\n".join(lines)
