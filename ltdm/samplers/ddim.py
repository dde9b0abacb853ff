"""Denoising diffusion implicit models: few steps, deterministic unless eta > 0.

    x_s = sqrt(ab_s) x0 + sqrt(1 - ab_s - sigma^2) eps + sigma z,
    sigma = eta sqrt((1 - ab_s) / (1 - ab_t)) sqrt(1 - ab_t / ab_s),

with ab = alpha_bar, x0 the denoised image and eps the noise it leaves. The steps are evenly spaced
over t = T-1 .. 0 and the last lands on the clean image (alpha_bar = 1), which some released codes
miss. Source: Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, equations 12 and 16.
Cost: `steps` evaluations an image, twice that with guidance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.options import option
from ltdm.samplers._denoise import Denoise

CITATION = """@inproceedings{song2021ddim,
  title={Denoising Diffusion Implicit Models},
  author={Song, Jiaming and Meng, Chenlin and Ermon, Stefano},
  booktitle={ICLR}, year={2021}}"""


@dataclass(frozen=True)
class Options:
    """Steps and randomness."""

    steps: int = option(50, "Denoising steps.", low=1, high=1000)
    eta: float = option(0.0, "Randomness: 0 is deterministic, 1 is DDPM's variance.", low=0, high=1)
    clip_x0: bool = option(False, "Keep each step's clean image inside [-1, 1].")


def sample(
    denoise: Denoise, process: Process, noise: Callable[[], Tensor], options: Options
) -> Tensor:
    """Return images, shape (B, C, H, W), about in [-1, 1]."""
    x = noise()
    for t, s in pairwise(process.grid(options.steps)):
        ab_t, ab_s = process.alpha_bar[t], process.alpha_bar[s]
        x0 = denoise(x, t)
        if options.clip_x0:
            x0 = x0.clamp(-1, 1)
        eps = (x - math.sqrt(ab_t) * x0) / math.sqrt(1 - ab_t)
        sigma = options.eta * math.sqrt((1 - ab_s) / (1 - ab_t) * (1 - ab_t / ab_s))
        x = math.sqrt(ab_s) * x0 + math.sqrt(max(1 - ab_s - sigma**2, 0.0)) * eps
        if sigma > 0:
            x = x + sigma * noise()
    return x
