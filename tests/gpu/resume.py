"""States written on one device resume on another."""

import torch

from ltdm.training.loop import Trainer
from tests.gpu.draws import HostDraws
from tests.gpu.graphs import copy_state, losses, relative_difference
from tests.gpu.setting import Setting, small_trainer

CPU = torch.device("cpu")
METHODS = {"cbdm": "unet", "igd-separate": "unet", "edm2": "edm2-E"}
BEFORE, AFTER = 4, 3


def run(setting: Setting) -> None:
    """Resume from states of the device and of the CPU, on the device and on the CPU."""
    ways = [(setting.device, setting.device), (setting.device, CPU), (CPU, setting.device)]
    for name, network in METHODS.items():
        for start, end in ways if setting.gpu else ways[:1]:
            what = f"{name}, {start.type} to {end.type}"
            with setting.rows.attempt(what):
                check_resuming(
                    setting,
                    what,
                    name if name in ("cbdm", "igd-separate") else "cbdm",
                    network,
                    start,
                    end,
                )


def check_resuming(
    setting: Setting, what: str, method: str, network: str, start: torch.device, end: torch.device
) -> None:
    """Compare the losses with training on one device, and the moments' layout with the weights'."""
    stays, moves = (
        small_trainer(setting, method, device, network, graph="none") for device in (start, end)
    )
    with HostDraws():
        losses(stays, BEFORE)
        moves.resume(copy_state(stays, end))
        differing = count_moments_of_other_layout(moves)
        gap = relative_difference(losses(moves, AFTER), losses(stays, AFTER))
    needs = setting.needs if start == end else {}
    setting.rows.add(
        what, off=gap, moments_otherwise=differing, bad=differing > 0 or not gap <= 1e-2, **needs
    )


def count_moments_of_other_layout(learner: Trainer) -> int:
    """Return the number of Adam's moments whose memory layout differs from their weights'."""
    optimiser = learner.optimiser
    return sum(
        moment.stride() != weight.stride()
        for weight, moments in zip(optimiser.params, optimiser.moments, strict=True)
        for moment in moments.values()
    )
