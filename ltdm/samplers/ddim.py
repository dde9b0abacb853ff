"""Denoising diffusion implicit models: few steps, deterministic unless eta > 0.

    x_s = signal_s x0 + sqrt(std_s^2 - sigma^2) eps + sigma z,
    sigma = eta std_s sqrt(1 - (signal_t std_s / signal_s std_t)^2),

with x0 the denoised image and eps the noise that it leaves in x_t. Under `vp`, where signal^2 is
alpha_bar and std^2 is 1 - alpha_bar, these are the paper's equations; they hold for any Gaussian
process. The last step reaches the clean image (alpha_bar = 1), which some released codes miss.
Source: Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, equations 12 and 16.
Cost: `steps` evaluations per image, twice that with guidance.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.plumbing.options import option
from ltdm.samplers._denoise import Denoise, Noise

CITATION = """@inproceedings{song2021ddim,
  title={Denoising Diffusion Implicit Models},
  author={Song, Jiaming and Meng, Chenlin and Ermon, Stefano},
  booktitle={ICLR}, year={2021}}"""


@dataclass(frozen=True)
class Options:
    """Steps, randomness and clipping."""

    steps: int = option(50, "Denoising steps.", low=1, high=100_000)
    eta: float = option(0.0, "Randomness: 0 is deterministic, 1 is DDPM's variance.", low=0, high=1)
    clip_denoised: bool = option(False, "Clamp each step's denoised image to [-1, 1].")


def evaluations(options: Options) -> int:
    """Return the network evaluations per image, without guidance."""
    return options.steps


def noise_levels(process: Process, options: Options) -> list[float]:
    """Return the levels that the sampler visits, the clean image's last."""
    return process.sampler_levels(options.steps)


def sample(denoise: Denoise, process: Process, noise: Noise, options: Options) -> Tensor:
    """Return images (B, C, H, W), about in [-1, 1]."""
    x = process.initial_noise(noise())
    for t, s in pairwise(noise_levels(process, options)):
        (signal_t, std_t), (signal_s, std_s) = process.signal_and_std(t), process.signal_and_std(s)
        x0 = denoise(x, t)
        if options.clip_denoised:
            x0 = x0.clamp(-1, 1)
        eps = (x - signal_t * x0) / std_t
        ratio = (signal_t * std_s / (signal_s * std_t)) ** 2
        sigma = options.eta * std_s * math.sqrt(1 - ratio)
        x = signal_s * x0 + math.sqrt(max(std_s**2 - sigma**2, 0.0)) * eps
        if sigma > 0:
            x = x + sigma * noise()
    return x
