"""What a sweep of the theory lab costs, beside the same games one at a time."""

import time
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.theory.lab import SweepRun
from ltdm.theory.options import Sweep

TOLERANCE = 1e-8
"""By how much weights after updates one by one may differ from those by squaring, relatively."""


def run(name: str, sweep: Sweep, updates: int) -> dict[str, Any]:
    """Time one seed of a sweep at once, and its first, middle and last game alone.

    A game alone draws its points, solves, trains and samples as the sweep does; once by squaring,
    as the sweep trains, and once making its updates one by one. Only `updates` of these are made,
    and the time of all follows from theirs. Times are seconds a game.

    Raises:
        LtdmError: Updates one by one lead elsewhere than by squaring.
    """
    games = list(product(sweep.tails, sweep.betas))
    together = _timed(replace(sweep, seeds=1))[0] / len(games)
    picked = [games[0], games[len(games) // 2], games[-1]]
    alone, stepping = 0.0, 0.0
    for tail, beta in picked:
        seconds, sweep_run = _timed(
            replace(sweep, seeds=1, tails=(tail,), betas=(beta,), figures=())
        )
        alone += seconds / len(picked)
        stepping += _stepped(sweep_run, updates) * sweep.steps[-1] / updates / len(picked)
    return {
        "sweep": name, "games": sweep.num_games, "updates": sweep.steps[-1],
        "threads": torch.get_num_threads(), "together_s": together, "alone_s": alone,
        "stepping_s": alone + stepping, "alone_ratio": alone / together,
        "stepping_ratio": (alone + stepping) / together,
        "timed": {"games": len(picked), "updates": updates},
    }  # fmt: skip


def _timed(sweep: Sweep) -> tuple[float, SweepRun]:
    """Return the seconds of all of a sweep's work, and what did it."""
    started = time.perf_counter()
    sweep_run = SweepRun(sweep, [0])
    list(sweep_run.measure())
    return time.perf_counter() - started, sweep_run


def _stepped(sweep_run: SweepRun, updates: int) -> float:
    """Return the seconds of so many updates one by one, seen to lead where squaring leads.

    They are simultaneous, whatever the sweep's order: those in turn take longer.
    """
    game = sweep_run.game
    step = sweep_run.step_sizes()[..., None, None, None]
    A = torch.zeros_like(game.B)
    started = time.perf_counter()
    for _ in range(updates):
        A = A - step * game.gradient(A)
    seconds = time.perf_counter() - started
    nash = game.equilibrium()
    *_, (_, error) = game.errors(-nash, game.step_map(sweep_run.step_sizes(), False), (updates,))
    apart = float((A - nash - error).norm() / A.norm())
    if not apart <= TOLERANCE:
        raise LtdmError(f"updates one by one differ by {apart:.1e} from those by squaring")
    return seconds


def to_text(found: dict[str, Any]) -> str:
    """Write the figures for a terminal."""
    timed = found["timed"]
    return "\n".join([
        f"{found['sweep']}: {found['games']} games of {found['updates']:,} updates,"
        f" {found['threads']} threads",
        f"one seed's games at once: {found['together_s']:.3f} s a game",
        f"one at a time, by squaring too: {found['alone_s']:.2f} s, {found['alone_ratio']:.0f}"
        " times as long",
        f"one at a time, update by update: {found['stepping_s']:.1f} s,"
        f" {found['stepping_ratio']:.0f} times as long (measured on {timed['games']} games and"
        f" {timed['updates']:,} updates of each)",
    ])  # fmt: skip
