"""Samples and densities of a noise predictor F, by the probability flow.

With x = signal x_0 + std eps and sigma = std / signal = sinh(u), the probability flow is

    dx / du = F - std x.

Along it log p(x) changes by minus the flow's divergence. A network's own density p-hat_y is thus
known without sampling, and KL(p_y | p-hat_y) = E_p [log p_y - log p-hat_y] is a mean over exact
samples of p_y. The time is u because nothing is then divided by the signal, which vanishes at pure
noise, where a network's prediction is not exactly the noise.
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
"""(x (..., d), signal, std) -> the predicted noise F (..., d), at one noise level."""
NoisePredictorWithDivergence = Callable[[Tensor, float, float], tuple[Tensor, Tensor]]
"""The same -> F (..., d) and its divergence (...)."""
RK4_STEPS = 20  # steps of the fourth-order Runge-Kutta method


class Estimate(NamedTuple):
    """Means over points, and their standard errors (NaN where none is known)."""

    value: Tensor
    error: Tensor


def generate(
    predict: NoisePredictor, process: VP, sampler: Part, noise: Callable[[], Tensor]
) -> Tensor:
    """Return the samples (..., n, d) of a sampler that runs F from the initial `noise()`."""

    def denoise(x: Tensor, level: float) -> Tensor:
        signal, std = process.signal_and_std(level)
        return (x - std * predict(x, signal, std)) / signal

    levels = sampler.module.noise_levels(process, sampler.options)
    return sampler.module.sample(denoise, process, noise, levels, sampler.options)


def integration_times(process: VP, sigma_min: float) -> list[float]:
    """Return the RK4_STEPS + 1 times u of the integration, from sigma_min to the last level."""
    signal, std = process.signal_and_std(process.T - 1)
    low, high = math.asinh(sigma_min), math.asinh(std / signal)
    return [low + (high - low) * k / RK4_STEPS for k in range(RK4_STEPS + 1)]


def signal_and_std(u: float) -> tuple[float, float]:
    """Return signal and std at time u: 1 / cosh(u) and tanh(u)."""
    return 1 / math.cosh(u), math.tanh(u)


def log_density(flow: NoisePredictorWithDivergence, times: list[float], x: Tensor) -> Tensor:
    """Return F's own log density (..., n) of points x (..., n, d) at the first of the times."""
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
    """Return KL(p | p-hat) at the first of the times, (...), for p-hat given by F.

    `x` (..., n, d) are exact samples of p with that time's noise; `log_p` (..., n) is their exact
    log density.
    """
    log_ratio = log_p - log_density(flow, times, x)
    return Estimate(log_ratio.mean(-1), log_ratio.std(-1) / math.sqrt(log_ratio.shape[-1]))
