"""Training steps as one CUDA graph equal those launched kernel by kernel, as both are on a CPU."""

import io
from typing import Any

import torch

from ltdm.training.graph import WARMUP_CALLS, StepGraph
from ltdm.training.loop import Trainer
from tests.gpu.setting import METHODS, Setting, small_trainer

STEPS = WARMUP_CALLS + 5


def run(setting: Setting) -> None:
    """Compare losses, check dropout masks, and resume from a state."""
    for method in ("cbdm", "igd-shared") if setting.tiny else METHODS:
        with setting.rows.attempt(f"losses of {method}"):
            compare_losses(setting, method)
    with setting.rows.attempt("masks of dropout"):
        check_dropout_masks(setting)
    with setting.rows.attempt("a state within a graph"):
        check_resuming(setting)


def loss(learner: Trainer) -> float:
    """Return the sum of the loss since the last call, and reset it to 0."""
    total = learner.loss_sums["loss"]
    value = float(total)
    total.zero_()
    return value


def losses(learner: Trainer, steps: int) -> list[float]:
    """Make training steps; return the loss of each."""
    values = []
    for _ in range(steps):
        learner.step()
        values.append(loss(learner))
    return values


def relative_difference(values: list[float], reference: list[float]) -> float:
    """Return the largest difference, as a share of the reference."""
    pairs = zip(values, reference, strict=True)
    return max(abs(a - b) / max(abs(b), 1e-9) for a, b in pairs)


def is_captured(learner: Trainer) -> bool:
    """Whether training steps run as a captured graph."""
    return (
        isinstance(learner.run_device_step, StepGraph) and learner.run_device_step.graph is not None
    )


def compare_losses(setting: Setting, method: str) -> None:
    """Compare the losses of steps as a graph with those launched kernel by kernel."""
    learner = small_trainer(setting, method, setting.device)
    graph = losses(learner, STEPS)
    plain = losses(small_trainer(setting, method, setting.device, graph="none"), STEPS)
    gap, bad = relative_difference(graph, plain), setting.gpu and not is_captured(learner)
    setting.rows.add(
        f"losses of {method}",
        off=gap,
        captured=is_captured(learner),
        bad=bad or not gap <= 1e-3,
        **setting.needs,
    )


def check_dropout_masks(setting: Setting) -> None:
    """Check that the loss repeats with the seed and differs between seeds, all else unchanged."""
    learner = small_trainer(setting, "ddpm", setting.device, dropout=0.3, lr=1e-2)
    losses(learner, STEPS)
    values = []
    for seed in (1, 1, 2):
        learner._fill_inputs()
        learner.optimiser.lr.zero_()  # the weights stay
        torch.manual_seed(seed)
        learner.run_device_step()
        values.append(loss(learner))
    same_seed = relative_difference(values[:1], values[1:2])
    other_seed = relative_difference(values[:1], values[2:])
    setting.rows.add(
        "masks of dropout",
        one_seed=same_seed,
        two_seeds=other_seed,
        bad=not same_seed < 1e-4 < other_seed,
        **setting.needs,
    )


def check_resuming(setting: Setting) -> None:
    """Check that a trainer with a graph, resumed from another's state, continues as that one."""
    original = small_trainer(setting, "cbdm", setting.device, dropout=0.1)
    losses(original, STEPS)
    state = copy_state(original)
    other = small_trainer(setting, "cbdm", setting.device, dropout=0.1)
    losses(other, STEPS)
    other.resume(state)
    gap = relative_difference(losses(other, STEPS), losses(original, STEPS))
    bad = setting.gpu and not is_captured(other)
    setting.rows.add(
        "a state within a graph",
        off=gap,
        captured=is_captured(other),
        bad=bad or not gap <= 1e-3,
        **setting.needs,
    )


def copy_state(learner: Trainer, device: torch.device | None = None) -> dict[str, Any]:
    """Return the state as read from a file, on a device."""
    file = io.BytesIO()
    torch.save(learner.state(), file)
    file.seek(0)
    where = device or learner.device
    state: dict[str, Any] = torch.load(file, map_location=where, weights_only=True)
    return state
