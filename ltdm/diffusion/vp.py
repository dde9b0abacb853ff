"""DDPM's variance-preserving process: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.

Levels are the timesteps t = 0 .. T-1; the level -1 is the clean image, where alpha_bar = 1. F is
the predicted noise, so a loss written in F is DDPM's.
Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, equations 2 and 4.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltdm.diffusion._base import Process, expand_like, karras_sigmas
from ltdm.plumbing.citations import HO2020
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = HO2020


@dataclass(frozen=True)
class Options:
    """The linear schedule of beta."""

    T: int = option(1000, "Number of timesteps, DDPM's noise levels.", low=1, high=100_000)
    beta_1: float = option(
        1e-4, "Variance added at the first timestep; beta is linear in t.", above=0, high=0.999
    )
    beta_T: float = option(0.02, "Variance added at the last timestep.", above=0, high=0.999)
    noise_conditioning: str = option(
        "timestep",
        "What the network is conditioned on at a noise level: the timestep t (`timestep`), as in"
        " DDPM, or ln(sigma) / 4 (`log_sigma`), EDM's c_noise, which `edm2` needs.",
        choices=("timestep", "log_sigma"),
    )

    def __post_init__(self) -> None:
        """Refuse a decreasing schedule, and one that leaves nothing of the image."""
        if self.beta_T < self.beta_1:
            raise OptionError(("beta_T",), f"must be at least beta_1 ({self.beta_1:g})")
        slope = (self.beta_T - self.beta_1) / max(self.T - 1, 1)
        log_alpha_bar = sum(math.log1p(-self.beta_1 - slope * t) for t in range(self.T))
        if log_alpha_bar < -60:
            raise OptionError(
                ("beta_T",),
                f"drowns the image: alpha_bar is e^{log_alpha_bar:.0f} at the last timestep;"
                " lower T, beta_1 or beta_T",
            )


def build(options: Options) -> "VP":
    """Make the process."""
    return VP(options)


class VP(Process):
    """DDPM's process; see the module, and `Process` for shapes."""

    signal: Tensor
    std: Tensor

    def __init__(self, options: Options):
        super().__init__()
        self.T, self.noise_conditioning = options.T, options.noise_conditioning
        # As in the released codes, to the bit: beta in float32, its cumulative product in float64.
        beta = torch.linspace(options.beta_1, options.beta_T, self.T).double()
        alpha_bar = torch.cumprod(1 - beta, dim=0)
        self.alpha_bar = [*alpha_bar.tolist(), 1.0]  # the level -1 is the clean image
        self.sigmas = ((1 - alpha_bar) / alpha_bar).sqrt().numpy()
        self.register_buffer("signal", alpha_bar.sqrt().float(), persistent=False)
        self.register_buffer("std", (1 - alpha_bar).sqrt().float(), persistent=False)

    @property
    def timesteps(self) -> int:
        """Number of timesteps, T."""
        return self.T

    def draw_levels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n timesteps uniformly: int64, (n,)."""
        return torch.randint(self.T, (n,), generator=rng, device=rng.device)

    def corrupt(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return x_t from clean images and standard normal noise."""
        return expand_like(self.signal[level], x0) * x0 + expand_like(self.std[level], x0) * noise

    def target(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return F*, the network's regression target: the noise."""
        return noise

    def network_inputs(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return x_t, and t or ln(sigma) / 4 as `noise_conditioning` says."""
        return x, level if self.noise_conditioning == "timestep" else self.sigma(level).log() / 4

    def to_denoised(self, F: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """Return the estimate of x_0 from the predicted noise F."""
        return (x - expand_like(self.std[level], x) * F) / expand_like(self.signal[level], x)

    def sigma(self, level: Tensor) -> Tensor:
        """Return the noise-to-signal ratio sqrt(1 / alpha_bar - 1)."""
        return self.std[level] / self.signal[level]

    def noise_progress(self, level: Tensor) -> Tensor:
        """Return s = t / T, in [0, 1)."""
        return level.float() / self.T

    def sampler_levels(self, steps: int) -> list[float]:
        """Return `steps` evenly spaced timesteps from T-1 down to 0, then the clean image's -1."""
        if steps > self.T:
            message = f"is {steps}, but the process has only {self.T} levels; lower steps"
            raise OptionError(("steps",), message)
        ts = torch.linspace(self.T - 1, 0, steps, dtype=torch.float64).round().tolist()
        return [*ts, -1.0]

    def karras_levels(self, steps: int, rho: float) -> list[float]:
        """Return the timesteps nearest to `steps` sigmas even in sigma^(1/rho), then -1."""
        sigmas = karras_sigmas(self.sigmas[0], self.sigmas[-1], steps, rho)
        levels = [self.nearest_level(sigma) for sigma in sigmas]
        if len(set(levels)) < steps:
            raise OptionError(
                ("steps",),
                f"is {steps}, but the process has fewer distinct levels of this spacing;"
                " lower steps or rho",
            )
        return [*levels, -1.0]

    def nearest_level(self, sigma: float) -> float:
        """Return the timestep whose noise-to-signal ratio is nearest to sigma, by its log."""
        return float(np.abs(np.log(self.sigmas) - math.log(sigma)).argmin())

    def initial_noise(self, noise: Tensor) -> Tensor:
        """Return the noise itself, since almost no signal is left at the last timestep."""
        return noise

    def level_tensor(self, level: float, n: int) -> Tensor:
        """Return a timestep as a tensor: int64, (n,)."""
        return torch.full((n,), int(level), device=self.signal.device)

    def signal_and_std(self, level: float) -> tuple[float, float]:
        """Return sqrt(alpha_bar) and sqrt(1 - alpha_bar) at a timestep or at -1."""
        alpha_bar = self.alpha_bar[int(level)]
        return math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
