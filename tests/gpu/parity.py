"""One update of each method: the CPU's losses and gradient against the GPU's, of the same draws."""

import torch

from tests.gpu.draws import HostDraws
from tests.gpu.setting import METHODS, Setting, small

CPU = torch.device("cpu")
LIMITS = {"fp32": 1e-3, "bf16": 0.1}
"""How far a loss may be off, as a share of it."""
CASES = [
    *((method, "unet") for method in METHODS),
    *((method, f"edm2-{config}") for config in "CEG" for method in ("ddpm", "cbdm")),
    ("igd-separate", "edm2-E"),
]
FEW = [*((method, "unet") for method in METHODS), ("cbdm", "edm2-E")]


def run(setting: Setting) -> None:
    """Compare all methods on the U-Net, and some on EDM2; on a CPU, with itself and with bf16."""
    for method, network in FEW if setting.tiny else CASES:
        with setting.rows.attempt(f"{method}, {network}"):
            want = losses(setting, method, network, CPU, "fp32")
            for precision, limit in LIMITS.items():
                got = losses(setting, method, network, setting.device, precision)
                off = max(abs(got[k] - want[k]) / max(abs(want[k]), 1e-3) for k in want)
                setting.rows.say(f"{method}, {network}, {precision}", off=off, bad=not off <= limit)


def losses(
    setting: Setting, method: str, network: str, device: torch.device, precision: str
) -> dict[str, float]:
    """Return the losses and the gradient's norm of the first update."""
    learner = small(
        setting, method, device, network, precision=precision, graph="none", grad_clip=None
    )
    with HostDraws():
        learner.step()
    return {name: float(total) for name, total in learner.loss_sums.items()}
