"""Is an update as one CUDA graph the same update? On a CPU both are launched kernel by kernel."""

import io
from typing import Any

import torch

from ltdm.training.graph import WARMUP_CALLS, StepGraph
from ltdm.training.loop import Trainer
from tests.gpu.setting import Setting, small

UPDATES = WARMUP_CALLS + 5


def run(setting: Setting) -> None:
    """Compare losses; look at the masks of dropout; go on from a state."""
    for method in (
        ("cbdm", "igd-shared")
        if setting.tiny
        else ("ddpm", "cbdm", "oclt", "ccua", "agc", "igd-shared", "igd-released", "igd-separate")
    ):
        with setting.rows.attempt(f"losses of {method}"):
            compare(setting, method)
    with setting.rows.attempt("masks of dropout"):
        masks(setting)
    with setting.rows.attempt("a state within a graph"):
        resume(setting)


def loss(learner: Trainer) -> float:
    """Return the sum of the loss since it was last asked, and begin it anew."""
    total = learner.loss_sums["loss"]
    value = float(total)
    total.zero_()
    return value


def losses(learner: Trainer, updates: int) -> list[float]:
    """Make updates; return the loss of each."""
    found = []
    for _ in range(updates):
        learner.step()
        found.append(loss(learner))
    return found


def off(one: list[float], other: list[float]) -> float:
    """Return the largest difference as a share of the loss."""
    return max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(one, other, strict=True))


def captured(learner: Trainer) -> bool:
    """Whether updates have become a graph."""
    return (
        isinstance(learner.run_device_step, StepGraph) and learner.run_device_step.graph is not None
    )


def compare(setting: Setting, method: str) -> None:
    """Compare the losses of updates as a graph with those launched one by one."""
    learner = small(setting, method, setting.device)
    found = losses(learner, UPDATES)
    plain = losses(small(setting, method, setting.device, graph="none"), UPDATES)
    gap, bad = off(found, plain), setting.gpu and not captured(learner)
    setting.rows.say(
        f"losses of {method}",
        off=gap,
        captured=captured(learner),
        bad=bad or not gap <= 1e-3,
        **setting.needs,
    )


def masks(setting: Setting) -> None:
    """Check that one seed gives one loss, and another seed another, with nothing else changed."""
    learner = small(setting, "ddpm", setting.device, dropout=0.3, lr=1e-2)
    losses(learner, UPDATES)
    found = []
    for seed in (1, 1, 2):
        learner._fill_inputs()
        learner.optimiser.lr.zero_()  # the weights stay
        torch.manual_seed(seed)
        learner.run_device_step()
        found.append(loss(learner))
    alike, differ = off(found[:1], found[1:2]), off(found[:1], found[2:])
    setting.rows.say(
        "masks of dropout",
        one_seed=alike,
        two_seeds=differ,
        bad=not alike < 1e-4 < differ,
        **setting.needs,
    )


def resume(setting: Setting) -> None:
    """Check that a graph's state goes on as the training did, in a learner that has a graph."""
    whole = small(setting, "cbdm", setting.device, dropout=0.1)
    losses(whole, UPDATES)
    state = copied(whole)
    other = small(setting, "cbdm", setting.device, dropout=0.1)
    losses(other, UPDATES)
    other.resume(state)
    gap = off(losses(other, UPDATES), losses(whole, UPDATES))
    bad = setting.gpu and not captured(other)
    setting.rows.say(
        "a state within a graph",
        off=gap,
        captured=captured(other),
        bad=bad or not gap <= 1e-3,
        **setting.needs,
    )


def copied(learner: Trainer, device: torch.device | None = None) -> dict[str, Any]:
    """Return the state as a file would hold it, on a device."""
    file = io.BytesIO()
    torch.save(learner.state(), file)
    file.seek(0)
    where = device or learner.device
    state: dict[str, Any] = torch.load(file, map_location=where, weights_only=True)
    return state
