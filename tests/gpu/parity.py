"""One training step of each method, with equal draws: losses and gradient on CPU and GPU."""

import torch

from tests.gpu.draws import HostDraws
from tests.gpu.setting import METHODS, Setting, small_trainer

CPU = torch.device("cpu")
LIMITS = {"fp32": 1e-3, "bf16": 0.1}
"""Largest difference of a loss, as a share of it."""
CASES = [
    *((method, "unet") for method in METHODS),
    *((method, f"edm2-{config}") for config in "CEG" for method in ("ddpm", "cbdm")),
    ("igd-separate", "edm2-E"),
]
FEW = [*((method, "unet") for method in METHODS), ("cbdm", "edm2-E")]


def run(setting: Setting) -> None:
    """Compare all methods on the U-Net, and some on EDM2; a CPU is compared with itself."""
    for method, network in FEW if setting.tiny else CASES:
        with setting.rows.attempt(f"{method}, {network}"):
            reference = losses(setting, method, network, CPU, "fp32")
            for precision, limit in LIMITS.items():
                values = losses(setting, method, network, setting.device, precision)
                off = max(
                    abs(values[k] - reference[k]) / max(abs(reference[k]), 1e-3) for k in reference
                )
                setting.rows.add(f"{method}, {network}, {precision}", off=off, bad=not off <= limit)


def losses(
    setting: Setting, method: str, network: str, device: torch.device, precision: str
) -> dict[str, float]:
    """Return the losses and the gradient's norm of the first training step, by name."""
    learner = small_trainer(
        setting, method, device, network, precision=precision, graph="none", grad_clip=None
    )
    with HostDraws():
        learner.step()
    return {name: float(total) for name, total in learner.loss_sums.items()}
