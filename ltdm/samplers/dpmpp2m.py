"""DPM-Solver++(2M): second-order steps that reuse the last denoised image: one evaluation each.

With x' = x / signal, lambda = -ln sigma, h = lambda_(i+1) - lambda_i and r = h_(i-1) / h_i,

    x' <- sigma_(i+1) / sigma_i x' + (1 - e^-h) ((1 + 1 / 2r) D_i - 1 / 2r D_(i-1)).

The first step, and the last one to the clean image, use D_i alone. The sampler is deterministic.
Levels are even in sigma^(1/rho); under `vp` they are the nearest that it has.
Source: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
Models", 2022, algorithm 2.
Cost: `steps` evaluations per image, twice that with guidance.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.plumbing.options import option
from ltdm.samplers._denoise import Denoise, Noise

CITATION = """@article{lu2022dpmsolverpp,
  title={{DPM-Solver++}: Fast Solver for Guided Sampling of Diffusion Probabilistic Models},
  author={Lu, Cheng and Zhou, Yuhao and Bao, Fan and Chen, Jianfei and Li, Chongxuan and Zhu, Jun},
  journal={arXiv:2211.01095}, year={2022}}"""


@dataclass(frozen=True)
class Options:
    """Steps, their spacing, and clipping."""

    steps: int = option(18, "Steps, the last one to the clean image.", low=1, high=100_000)
    rho: float = option(
        7.0, "Spacing of the levels; a larger rho puts more at low noise.", low=1, high=1000
    )
    clip_denoised: bool = option(False, "Clamp each denoised image to [-1, 1].")


def evaluations(options: Options) -> int:
    """Return the network evaluations per image, without guidance."""
    return options.steps


def noise_levels(process: Process, options: Options) -> list[float]:
    """Return the levels that the sampler visits, the clean image's last."""
    return process.karras_levels(options.steps, options.rho)


def sample(
    denoise: Denoise, process: Process, noise: Noise, levels: list[float], options: Options
) -> Tensor:
    """Return images (B, C, H, W), about in [-1, 1]."""
    x = process.initial_noise(noise()) / process.signal_and_std(levels[0])[0]
    previous: tuple[Tensor, float] | None = None  # the last step's denoised image and h
    for level, below in pairwise(levels):
        signal, std = process.signal_and_std(level)
        next_signal, next_std = process.signal_and_std(below)
        x0 = denoise(signal * x, level)
        if options.clip_denoised:
            x0 = x0.clamp(-1, 1)
        ratio, extrapolated = next_std * signal / (next_signal * std), x0
        if ratio > 0:
            h = -math.log(ratio)
            if previous:
                extrapolated = x0 + h / (2 * previous[1]) * (x0 - previous[0])
            previous = x0, h
        x = ratio * x + (1 - ratio) * extrapolated
    return x
