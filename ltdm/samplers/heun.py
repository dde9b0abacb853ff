"""EDM's sampler: Heun's second-order steps in sigma, with added noise (churn) or without.

With x' = x / signal, which depends on sigma alone, d = (x' - D) / sigma is the slope of the
probability flow. A step goes from sigma_i to sigma_(i+1) along the mean of the slopes at both ends;
the last one, to 0, along the first slope alone. Levels are even in sigma^(1/rho). With S_churn > 0,
a step whose sigma_i lies in [S_min, S_max] first adds noise up to sigma_i (1 + gamma), with
gamma = min(S_churn / steps, 2^.5 - 1); the noise is drawn with standard deviation S_noise.

The sampler works for every process. Under `vp` the levels are the nearest that it has, so networks
trained as DDPM sample in a few dozen evaluations too.
Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS
2022, algorithms 1 and 2, equation 5.
Cost: 2 `steps` - 1 evaluations per image, twice that with guidance.

Released code: FutureXiang/edm2 clamps D to [-1, 1], which is `clip_denoised`; its `eta` is
S_churn = 0.414 eta steps with S_min 0.01, S_max 1 and S_noise 1.007.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.plumbing.citations import KARRAS2022
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.samplers._denoise import Denoise, Noise

CITATION = KARRAS2022


@dataclass(frozen=True)
class Options:
    """Steps, their spacing, added noise, and clipping."""

    steps: int = option(18, "Steps, the last one to the clean image.", low=1, high=100_000)
    rho: float = option(
        7.0, "Spacing of the levels; a larger rho puts more at low noise.", low=1, high=1000
    )
    S_churn: float = option(0.0, "Noise added over all steps; 0 is deterministic.", low=0)
    S_min: float = option(0.0, "Lowest sigma at which noise is added.", low=0)
    S_max: float = option(1e6, "Highest sigma at which noise is added.", low=0)
    S_noise: float = option(1.0, "Standard deviation of the added noise.", above=0)
    clip_denoised: bool = option(False, "Clamp each denoised image to [-1, 1].")

    def __post_init__(self) -> None:
        """Refuse limits in the wrong order."""
        if self.S_min > self.S_max:
            raise OptionError(("S_min",), f"is above S_max ({self.S_max:g}); swap them")


def evaluations(options: Options) -> int:
    """Return the network evaluations per image, without guidance."""
    return 2 * options.steps - 1


def noise_levels(process: Process, options: Options) -> list[float]:
    """Return the levels that the sampler visits, the clean image's last."""
    return process.karras_levels(options.steps, options.rho)


def sample(
    denoise: Denoise, process: Process, noise: Noise, levels: list[float], options: Options
) -> Tensor:
    """Return images (B, C, H, W), about in [-1, 1]."""

    def slope(x: Tensor, level: float) -> Tensor:
        signal, std = process.signal_and_std(level)
        x0 = denoise(signal * x, level)
        return (x - (x0.clamp(-1, 1) if options.clip_denoised else x0)) * (signal / std)

    x = process.initial_noise(noise()) / process.signal_and_std(levels[0])[0]
    for level, below in pairwise(levels):
        churned = churned_level(process, level, options)
        low, sigma, end = (_sigma(process, each) for each in (level, churned, below))
        if sigma > low:
            x = x + options.S_noise * math.sqrt(sigma**2 - low**2) * noise()
        first = slope(x, churned)
        ahead = x + (end - sigma) * first
        if end > 0:
            ahead = x + (end - sigma) / 2 * (first + slope(ahead, below))
        x = ahead
    return x


def churned_level(process: Process, level: float, options: Options) -> float:
    """Return the level up to which noise is added: at sigma_i (1 + gamma), or `level` itself."""
    sigma = _sigma(process, level)
    if options.S_churn == 0 or not options.S_min <= sigma <= options.S_max:
        return level
    return process.nearest_level(
        sigma * (1 + min(options.S_churn / options.steps, math.sqrt(2) - 1))
    )


def _sigma(process: Process, level: float) -> float:
    """Return the ratio of noise to signal at a level."""
    signal, std = process.signal_and_std(level)
    return std / signal
