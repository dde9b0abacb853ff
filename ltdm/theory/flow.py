"""What learned noise estimates draw, and how likely they hold the truth: the probability flow.

In x = signal x_0 + std eps with sigma = std / signal = sinh(u), the flow is

    dx / du = F - std x,

and log p(x) changes along it by minus its divergence. So a network's own density is known without
sampling, and with it KL(p_y | p-hat_y) = E_p [log p - log p-hat], a mean over exact draws. Its time
is u since there nothing is divided by the signal, which vanishes: what networks say of pure noise
is not exactly the noise.
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
from ltdm.plumbing.registry import Part

NoisePredictor = Callable[[Tensor, float, float], Tensor]
"""F of points (..., d) at one level, given by its signal and std."""
NoisePredictorWithDivergence = Callable[[Tensor, float, float], tuple[Tensor, Tensor]]
"""F and its divergence, (..., d) and (...)."""
RK4_STEPS = 20  # of the fourth-order Runge-Kutta method


class Estimate(NamedTuple):
    """Means over points, and their standard errors."""

    value: Tensor
    error: Tensor


def generate(
    predict: NoisePredictor, process: VP, sampler: Part, noise: Callable[[], Tensor]
) -> Tensor:
    """Return what a sampler draws with F, shaped as the noise (..., n, d)."""

    def denoise(x: Tensor, level: float) -> Tensor:
        signal, std = process.scales(level)
        return (x - std * predict(x, signal, std)) / signal

    return sampler.module.sample(denoise, process, noise, sampler.options)


def integration_times(process: VP, sigma_min: float) -> list[float]:
    """Return the times u that densities are integrated over, from sigma_min to the last level."""
    signal, std = process.scales(process.T - 1)
    low, high = math.asinh(sigma_min), math.asinh(std / signal)
    return [low + (high - low) * k / RK4_STEPS for k in range(RK4_STEPS + 1)]


def signal_and_std(u: float) -> tuple[float, float]:
    """Return signal and std at a time."""
    return 1 / math.cosh(u), math.tanh(u)


def log_density(flow: NoisePredictorWithDivergence, times: list[float], x: Tensor) -> Tensor:
    """Return the log density that F gives points at the first time, (...), of x (..., n, d)."""
    d, log_change = x.shape[-1], torch.zeros(x.shape[:-1], dtype=x.dtype)

    def derivative(x: Tensor, u: float) -> tuple[Tensor, Tensor]:
        signal, std = signal_and_std(u)
        F, divergence = flow(x, signal, std)
        return F - std * x, divergence - d * std

    for low, high in pairwise(times):
        h, mid = high - low, (low + high) / 2
        k1, c1 = derivative(x, low)
        k2, c2 = derivative(x + h / 2 * k1, mid)
        k3, c3 = derivative(x + h / 2 * k2, mid)
        k4, c4 = derivative(x + h * k3, high)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        log_change = log_change + h / 6 * (c1 + 2 * c2 + 2 * c3 + c4)
    return log_change - (x.square().sum(-1) + d * math.log(2 * math.pi)) / 2


def kl(
    flow: NoisePredictorWithDivergence, log_p: Tensor, times: list[float], x: Tensor
) -> Estimate:
    """Return KL(p | p-hat) at the first time, from exact draws x (..., n, d) of p with its noise.

    Their exact log density is log_p, (..., n).
    """
    log_ratio = log_p - log_density(flow, times, x)
    return Estimate(log_ratio.mean(-1), log_ratio.std(-1) / math.sqrt(log_ratio.shape[-1]))
