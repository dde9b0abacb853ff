"""Does a state go on where another device wrote it?"""

import torch

from ltdm.training.loop import Trainer
from tests.gpu.draws import HostDraws
from tests.gpu.graphs import copied, losses, off
from tests.gpu.setting import Setting, small

CPU = torch.device("cpu")
METHODS = {"cbdm": "unet", "igd-separate": "unet", "edm2": "edm2-E"}
BEFORE, AFTER = 4, 3


def run(setting: Setting) -> None:
    """Go on from the device's state and the CPU's, on the device and on the CPU."""
    ways = [(setting.device, setting.device), (setting.device, CPU), (CPU, setting.device)]
    for name, network in METHODS.items():
        for start, end in ways if setting.gpu else ways[:1]:
            what = f"{name}, {start.type} to {end.type}"
            with setting.rows.attempt(what):
                go_on(
                    setting,
                    what,
                    name if name in ("cbdm", "igd-separate") else "cbdm",
                    network,
                    start,
                    end,
                )


def go_on(
    setting: Setting, what: str, method: str, network: str, start: torch.device, end: torch.device
) -> None:
    """Compare the losses with those of a training that stayed; moments must lie as weights do."""
    stays, moves = (small(setting, method, where, network, graph="none") for where in (start, end))
    with HostDraws():
        losses(stays, BEFORE)
        moves.resume(copied(stays, end))
        apart = otherwise(moves)
        gap = off(losses(moves, AFTER), losses(stays, AFTER))
    needs = setting.needs if start == end else {}
    setting.rows.say(
        what, off=gap, moments_otherwise=apart, bad=apart > 0 or not gap <= 1e-2, **needs
    )


def otherwise(learner: Trainer) -> int:
    """Return how many of Adam's moments lie in memory otherwise than their weights."""
    one = learner.optimiser
    return sum(
        moment.stride() != weight.stride()
        for weight, moments in zip(one.params, one.moments, strict=True)
        for moment in moments.values()
    )
