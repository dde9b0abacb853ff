"""DDPM's own sampler: one draw from the posterior a step.

    x_s ~ N(c0 x0 + c1 x_t, v),   a = ab_t / ab_s,   b = 1 - a,
    c0 = sqrt(ab_s) b / (1 - ab_t),   c1 = sqrt(a) (1 - ab_s) / (1 - ab_t),

with ab = alpha_bar, v = b ("large") or b (1 - ab_s) / (1 - ab_t) ("small"), and no noise in the
last step. With fewer steps than levels, a and b are those of the levels that are visited.
Source: Ho et al., NeurIPS 2020, equations 6 and 7. Cost: `steps` evaluations an image, twice that
with guidance.

The released codes clamp x0 only after the mean was computed from it, which does nothing, and DDPM's
published FID was obtained so; `clip_x0` is off for that reason. On, it acts as DDPM's paper meant.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ltdm.citations import HO2020
from ltdm.diffusion._base import Process
from ltdm.options import option
from ltdm.samplers._denoise import Denoise

CITATION = HO2020


@dataclass(frozen=True)
class Options:
    """Steps and variance."""

    steps: int = option(1000, "Denoising steps; all levels by default.", low=1, high=1000)
    variance: str = option(
        "large",
        "Variance of a step: beta, or the posterior's.",
        choices=("large", "small"),
    )
    clip_x0: bool = option(False, "Keep each step's clean image inside [-1, 1].")


def sample(
    denoise: Denoise, process: Process, noise: Callable[[], Tensor], options: Options
) -> Tensor:
    """Return images, shape (B, C, H, W), about in [-1, 1]."""
    x = noise()
    for t, s in pairwise(process.grid(options.steps)):
        ab_t, ab_s = process.alpha_bar[t], process.alpha_bar[s]
        a = ab_t / ab_s
        x0 = denoise(x, t)
        if options.clip_x0:
            x0 = x0.clamp(-1, 1)
        x = math.sqrt(ab_s) * (1 - a) / (1 - ab_t) * x0 + math.sqrt(a) * (1 - ab_s) / (1 - ab_t) * x
        if s >= 0:
            v = 1 - a if options.variance == "large" else (1 - a) * (1 - ab_s) / (1 - ab_t)
            x = x + math.sqrt(v) * noise()
    return x
