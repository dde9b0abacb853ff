"""Denoising diffusion implicit models: few steps, deterministic unless eta > 0.

    x_s = signal_s x0 + sqrt(std_s^2 - sigma^2) eps + sigma z,
    sigma = eta std_s sqrt(1 - (signal_t std_s / signal_s std_t)^2),

with x0 the denoised image and eps the noise that it leaves in x_t, after clipping or, as
`noise_after_clip` may say, before it. Under `vp`, where signal^2 is alpha_bar and std^2 is
1 - alpha_bar, these are the paper's equations; they hold for any Gaussian process. The last step
reaches the clean image (alpha_bar = 1), unless `last` says otherwise.
Source: Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, equations 12 and 16.
Cost: `steps` evaluations per image, twice that with guidance.

`grid` has the names of diffusers. With T timesteps and S steps, `linspace` is even over 0 .. T-1
and has both ends; `leading` is i (T // S) + offset, and `trailing` T - 1 - i T / S, rounded, for
i = 0 .. S-1. Each step goes to the next timestep of the grid. diffusers subtracts T // S instead,
which differs in some steps of `linspace`, and of `trailing` where S does not divide T.

Released code: OC_LT, CCUA and CM use `{grid: leading, last: alpha_bar_0}`: 990, 980, .., 0 in 100
steps, and the last step, from timestep 0 to itself, changes nothing. IET uses `{grid: leading,
offset: 1, last: alpha_bar_0, clip_denoised: true, noise_after_clip: predicted}`: 981, .., 21, 1
and 0 in 50 steps.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.samplers._denoise import Denoise, Noise

CITATION = """@inproceedings{song2021ddim,
  title={Denoising Diffusion Implicit Models},
  author={Song, Jiaming and Meng, Chenlin and Ermon, Stefano},
  booktitle={ICLR}, year={2021}}"""

Scale = float | Tensor
"""A signal or std, the same for the batch or one per image, (B, 1, 1, 1)."""
Scales = tuple[Scale, Scale]
"""Signal and std."""


@dataclass(frozen=True)
class Options:
    """Steps and their grid, randomness and clipping."""

    steps: int = option(50, "Denoising steps.", low=1, high=100_000)
    grid: str = option(
        "linspace",
        "Timesteps of the steps: even with both ends (`linspace`), or multiples of T // steps from"
        " 0 up (`leading`) or of T / steps from T - 1 down (`trailing`). Only `linspace` suits a"
        " process without timesteps.",
        choices=("linspace", "leading", "trailing"),
    )
    offset: int = option(0, "Added to the timesteps of `leading`.", low=0, high=1)
    last: str = option(
        "clean",
        "Where the last step ends: at the clean image, or at timestep 0, whose noise, of variance"
        " 1 - alpha_bar_0, is left in the image.",
        choices=("clean", "alpha_bar_0"),
    )
    eta: float = option(0.0, "Randomness: 0 is deterministic, 1 is DDPM's variance.", low=0, high=1)
    clip_denoised: bool = option(False, "Clamp each step's denoised image to [-1, 1].")
    noise_after_clip: str = option(
        "derived",
        "The noise of a step whose denoised image is clamped: derived anew from the clamped image"
        " (guided-diffusion), or as predicted (diffusers' default).",
        choices=("derived", "predicted"),
    )

    def __post_init__(self) -> None:
        """Refuse options without an effect."""
        if self.offset and self.grid != "leading":
            message = f"is for the leading grid, and grid is {self.grid}; leave one out"
            raise OptionError(("offset",), message)
        if self.noise_after_clip != "derived" and not self.clip_denoised:
            message = "has no effect without clip_denoised; set that to true, or leave it out"
            raise OptionError(("noise_after_clip",), message)


def evaluations(options: Options) -> int:
    """Return the network evaluations per image, without guidance."""
    return options.steps


def noise_levels(process: Process, options: Options) -> list[float]:
    """Return the levels that the sampler visits, the last image's last."""
    steps, T = options.steps, process.timesteps
    levels = process.sampler_levels(steps)
    if T is None:
        for name, default in (("grid", "linspace"), ("last", "clean")):
            if getattr(options, name) != default:
                message = "is for processes with timesteps, which this one has not; leave it out"
                raise OptionError((name,), message)
        return levels
    if options.grid == "leading":
        levels[:-1] = [float(i * (T // steps) + options.offset) for i in reversed(range(steps))]
    elif options.grid == "trailing":
        levels[:-1] = [float(round(T - i * T / steps) - 1) for i in range(steps)]
    if levels[0] == T:
        message = f"is {steps}, but with offset 1 the process has only {steps - 1} levels; lower it"
        raise OptionError(("steps",), message)
    return [*levels[:-1], 0.0] if options.last == "alpha_bar_0" else levels


def sample(
    denoise: Denoise, process: Process, noise: Noise, levels: list[float], options: Options
) -> Tensor:
    """Return images (B, C, H, W), about in [-1, 1]."""
    x = process.initial_noise(noise())
    for t, s in pairwise(levels):
        start, end = process.signal_and_std(t), process.signal_and_std(s)
        x0, eps = split(x, denoise(x, t), start, options)
        x = step(x0, eps, start, end, options.eta, noise)
    return x


def split(x: Tensor, predicted: Tensor, scales: Scales, options: Options) -> tuple[Tensor, Tensor]:
    """Return the clean images x0 and the noise eps that a step is made of, from x and D(x)."""
    signal, std = scales
    x0 = predicted.clamp(-1, 1) if options.clip_denoised else predicted
    keep_noise = options.noise_after_clip == "predicted"
    return x0, (x - signal * (predicted if keep_noise else x0)) / std


def step(x0: Tensor, eps: Tensor, start: Scales, end: Scales, eta: float, noise: Noise) -> Tensor:
    """Return x_s from x0 and eps; `start` are the scales at t, `end` those at s."""
    (signal_t, std_t), (signal_s, std_s) = start, end
    ratio = (signal_t * std_s / (signal_s * std_t)) ** 2
    sigma = eta * std_s * _root(1 - ratio)
    x = signal_s * x0 + _root(std_s**2 - sigma**2) * eps
    is_random = eta > 0 and (isinstance(sigma, Tensor) or sigma > 0)
    return x + sigma * noise() if is_random else x


def _root(square: Scale) -> Scale:
    """Return the square root, of 0 where rounding or a step to more noise made it negative."""
    if isinstance(square, Tensor):
        return square.clamp(min=0).sqrt()
    return math.sqrt(max(square, 0.0))
