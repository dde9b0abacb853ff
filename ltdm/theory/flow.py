"""What learned noise estimates draw, and how likely they hold the truth: the probability flow.

In x' = x / signal_t, where only sigma = std / signal changes, dx' / dsigma = F(signal x', t). Along
it log p'(x'(sigma)) changes by the divergence of F, so a network's own density is known without
sampling, and with it KL(p_y | p-hat_y) = E_p [log p - log p-hat], a mean over exact draws.
Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations",
ICLR 2021, section 4.3 and equation 39.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ltdm.diffusion.vp import VP
from ltdm.registry import Part

Predict = Callable[[Tensor, float, float], Tensor]
"""F of points (..., d) at one level, told by its signal and std."""
Flow = Callable[[Tensor, float, float], tuple[Tensor, Tensor]]
"""F and its divergence, (..., d) and (...)."""
STEPS, RHO = 40, 7.0
"""Of the integration of densities: Heun's steps over the whole range of sigma."""


class Mean(NamedTuple):
    """Means over points, and their standard errors."""

    value: Tensor
    error: Tensor


def draw(predict: Predict, process: VP, sampler: Part, noise: Callable[[], Tensor]) -> Tensor:
    """Return what a sampler draws with F, shaped as the noise (..., n, d)."""

    def denoise(x: Tensor, level: float) -> Tensor:
        signal, std = process.scales(level)
        return (x - std * predict(x, signal, std)) / signal

    found: Tensor = sampler.module.sample(denoise, process, noise, sampler.options)
    return found


def levels_from(process: VP, sigma_min: float) -> list[float]:
    """Return the levels that densities are integrated over, from the lowest one to pure noise.

    The lowest is the first whose sigma is at least `sigma_min`.
    """
    levels = process.spaced(STEPS, RHO)[-2::-1]
    return [level for level in levels if _sigma(process, level) >= sigma_min]


def log_density(flow: Flow, process: VP, levels: list[float], x: Tensor) -> Tensor:
    """Return the log density that F gives points at the lowest level, (...), of x (..., n, d)."""
    first, last = (process.scales(levels[k])[0] for k in (0, -1))
    x, gained = x / first, torch.zeros(x.shape[:-1], dtype=x.dtype)

    def slope(x: Tensor, level: float) -> tuple[Tensor, Tensor]:
        signal, std = process.scales(level)
        F, divergence = flow(signal * x, signal, std)
        return F, signal * divergence

    for low, high in pairwise(levels):
        step = _sigma(process, high) - _sigma(process, low)
        (here, spread), (there, beyond) = (one := slope(x, low)), slope(x + step * one[0], high)
        x = x + step / 2 * (here + there)
        gained = gained + step / 2 * (spread + beyond)
    d, end = x.shape[-1], last * x
    prior = -(end.square().sum(-1) + d * math.log(2 * math.pi)) / 2
    return prior + gained + d * math.log(last / first)


def kl(flow: Flow, log_p: Tensor, process: VP, levels: list[float], x: Tensor) -> Mean:
    """Return KL(p | p-hat) at the lowest level, from exact draws x (..., n, d) of p.

    Args:
        flow: F and its divergence.
        log_p: The exact log density of x, (..., n).
        process: The process.
        levels: What `levels_from` gives.
        x: The draws, with that level's noise.
    """
    apart = log_p - log_density(flow, process, levels, x)
    return Mean(apart.mean(-1), apart.std(-1) / math.sqrt(apart.shape[-1]))


def _sigma(process: VP, level: float) -> float:
    signal, std = process.scales(level)
    return std / signal
