"""Samplers run on their own noise levels or on others, and the process `vp` in float64."""

import math

import torch

from ltdm.diffusion import vp


def double_vp(**options):
    """Return the process `vp` with tables in float64."""
    process = vp.build(vp.Options(**options))
    alpha_bar = torch.tensor(process.alpha_bar[:-1], dtype=torch.float64)
    process.signal, process.std = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return process


def run(sampler, denoise, process, noise, levels=None, **options):
    """Return what a sampler with these options generates, on its own levels unless given others."""
    parsed = sampler.Options(**options)
    levels = levels or sampler.noise_levels(process, parsed)
    return sampler.sample(denoise, process, noise, levels, parsed)


def constant(guidance):
    """Return guidance of this weight at every level."""
    return lambda level: guidance


def noisy_images(level, variance, n=500):
    """Return n images at a level, whose clean pixels have this variance exactly."""
    rng = torch.Generator().manual_seed(int(level))
    clean, noise = torch.randn(2, n, 3, 32, 32, generator=rng, dtype=torch.float64)
    clean = (clean - clean.mean((1, 2, 3), keepdim=True)) / clean.std((1, 2, 3), keepdim=True)
    signal, std = double_vp().signal_and_std(level)
    return signal * math.sqrt(variance) * clean + std * noise
