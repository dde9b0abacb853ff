"""DDPM's sampler: one draw from the posterior per step.

    x_s ~ N((signal_s b x0 + a std_s^2 x_t) / std_t^2, v),
    a = signal_t / signal_s,   b = std_t^2 - a^2 std_s^2,

with v = b ("large") or b std_s^2 / std_t^2 ("small"), and no noise in the last step. Under `vp`,
where signal^2 is alpha_bar and std^2 is 1 - alpha_bar, b is beta_t; with fewer steps than levels,
b is the beta of the process restricted to the visited levels.
Source: Ho et al., NeurIPS 2020, equations 6 and 7. Cost: `steps` evaluations per image, twice that
with guidance.

Released code: clamps x0 only after the mean is computed from it, which has no effect. DDPM's
published FID was obtained so, and `clip_denoised` is therefore off by default. If on, it acts as
DDPM's paper describes.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.plumbing.citations import HO2020
from ltdm.plumbing.options import option
from ltdm.samplers._denoise import Denoise, Noise

CITATION = HO2020


@dataclass(frozen=True)
class Options:
    """Steps, variance and clipping."""

    steps: int = option(1000, "Denoising steps; all levels by default.", low=1, high=100_000)
    variance: str = option(
        "large",
        "Variance of a step: beta (`large`), or the posterior's (`small`).",
        choices=("large", "small"),
    )
    clip_denoised: bool = option(False, "Clamp each step's denoised image to [-1, 1].")


def evaluations(options: Options) -> int:
    """Return the network evaluations per image, without guidance."""
    return options.steps


def noise_levels(process: Process, options: Options) -> list[float]:
    """Return the levels that the sampler visits, the clean image's last."""
    return process.sampler_levels(options.steps)


def sample(
    denoise: Denoise, process: Process, noise: Noise, levels: list[float], options: Options
) -> Tensor:
    """Return images (B, C, H, W), about in [-1, 1]."""
    x = process.initial_noise(noise())
    for t, s in pairwise(levels):
        (signal_t, std_t), (signal_s, std_s) = process.signal_and_std(t), process.signal_and_std(s)
        x0 = denoise(x, t)
        if options.clip_denoised:
            x0 = x0.clamp(-1, 1)
        keep = signal_t / signal_s
        added = std_t**2 - (keep * std_s) ** 2
        x = (signal_s * added * x0 + keep * std_s**2 * x) / std_t**2
        if std_s > 0:
            variance = added if options.variance == "large" else added * (std_s / std_t) ** 2
            x = x + math.sqrt(variance) * noise()
    return x
