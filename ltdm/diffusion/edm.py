"""EDM's process with EDM2's weighting: x = x_0 + sigma n, levels are sigma.

    D(x; sigma) = c_skip x + c_out F(c_in x, ln(sigma) / 4),        S^2 = sigma^2 + sigma_data^2,
    c_skip = sigma_data^2 / S^2,   c_out = sigma sigma_data / S,   c_in = 1 / S,
    F* = (sigma x_0 / sigma_data - sigma_data n) / S,      ln sigma ~ N(P_mean, P_std^2).

EDM weighs |D - x_0|^2 by 1 / c_out^2, which makes it |F - F*|^2: the loss is computed in this
form, without the division. EDM2 learns u(sigma), the log of the expected loss at each level,
beside the network and minimises e^-u |F - F*|^2 + u, so that every level weighs the same. The terms
of other methods are multiplied by e^-u as well, without a gradient to u. Separate networks share
one u. Sampling does not use it.

s(sigma), the second weight of those terms, is by default t / T of DDPM's schedule at the same
noise-to-signal ratio. Then a term's weight relative to the denoising loss at a noise level is the
published one. This ratio alone, not EDM's own weights, determines what an ideal network learns.
Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS
2022, table 1; and "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR 2024,
equations 14 to 22.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process, expand_like, karras_sigmas
from ltdm.networks._magnitude import Fourier, MPLayer
from ltdm.plumbing.citations import KARRAS2024
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = KARRAS2024
BETA_MIN, BETA_SLOPE = 0.1, 19.9
"""T beta_1 and T (beta_T - beta_1) of DDPM's schedule, for `term_weighting: snr`."""


@dataclass(frozen=True)
class Options:
    """Noise levels of training and sampling, and their weights."""

    P_mean: float = option(
        -1.2, "Mean of ln(sigma) in training, whose levels are log-normal.", low=-10, high=10
    )
    P_std: float = option(1.2, "Standard deviation of ln(sigma) in training.", above=0, high=10)
    sigma_data: float = option(0.5, "Standard deviation of the pixels in [-1, 1].", above=0)
    sigma_min: float = option(
        0.002, "Lowest noise level of a sampler above the clean image's 0.", low=1e-6
    )
    sigma_max: float = option(
        80.0, "Highest noise level of a sampler, where it starts.", above=0, high=1e6
    )
    term_weighting: str = option(
        "snr",
        "Weight s(sigma) in [0, 1] of the terms that methods add: t / T of DDPM at the same"
        " noise-to-signal ratio (`snr`), the fraction of training levels below sigma"
        " (`quantile`), or the position among the sampler's levels (`sampler`).",
        choices=("snr", "quantile", "sampler"),
    )
    logvar: str = option(
        "mp",
        "How u(sigma), the log of the expected loss, is learnt: by a magnitude-preserving layer"
        " (`mp`, for networks with such layers), by a linear layer that starts at 0 (`linear`),"
        " or not at all (`none`).",
        choices=("mp", "linear", "none"),
    )
    logvar_channels: int = option(
        128, "Fourier features of ln(sigma) that u is linear in.", low=1, high=65_536
    )

    def __post_init__(self) -> None:
        """Refuse an empty range of noise levels."""
        if self.sigma_max <= self.sigma_min:
            raise OptionError(("sigma_max",), f"must be above sigma_min ({self.sigma_min:g})")


TRAINING_ONLY = ("P_mean", "P_std", "term_weighting", "logvar", "logvar_channels")
"""Options that do not change the meaning of a network's output.

They matter in training, and in the guidance schedules `linear` and `gamma`.
"""


def build(options: Options) -> "EDM":
    """Make the process."""
    return EDM(options)


class EDM(Process):
    """EDM's process; see the module, and `Process` for shapes."""

    like: Tensor

    def __init__(self, options: Options):
        super().__init__()
        self.options = options
        self.uncertainty = None if options.logvar == "none" else LogVar(options)
        self.register_buffer("like", torch.zeros(()), persistent=False)  # has the device

    def draw_levels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n log-normal levels."""
        normal = torch.randn(n, generator=rng, device=rng.device)
        return (self.options.P_mean + self.options.P_std * normal).exp()

    def corrupt(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return x from clean images and standard normal noise."""
        return x0 + expand_like(level, x0) * noise

    def target(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return F*, of variance 1 if the images have variance sigma_data^2."""
        data, total = self.options.sigma_data, self._total_std(level)
        return expand_like(level / (data * total), x0) * x0 - expand_like(data / total, x0) * noise

    def network_inputs(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return c_in x and c_noise = ln(sigma) / 4."""
        return x / expand_like(self._total_std(level), x), level.log() / 4

    def to_denoised(self, F: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """Return D, the estimate of x_0 from the network's output F."""
        data, total = self.options.sigma_data, self._total_std(level)
        c_skip, c_out = (data / total).square(), level * data / total
        return expand_like(c_skip, x) * x + expand_like(c_out, x) * F

    def logvar(self, level: Tensor) -> Tensor | None:
        """Return u(sigma) for levels (B,): (B,), with its gradient; None if it is not learnt."""
        return None if self.uncertainty is None else self.uncertainty(level.log() / 4)

    def sigma(self, level: Tensor) -> Tensor:
        """Return the noise-to-signal ratio, which is the level."""
        return level

    def noise_progress(self, level: Tensor) -> Tensor:
        """Return s(sigma) in [0, 1] by `term_weighting`; see the module."""
        options = self.options
        if options.term_weighting == "quantile":
            return torch.special.ndtr((level.log() - options.P_mean) / options.P_std)
        if options.term_weighting == "sampler":
            low, high = (sigma ** (1 / 7) for sigma in (options.sigma_min, options.sigma_max))
            return ((level ** (1 / 7) - low) / (high - low)).clamp(0, 1)
        root = (BETA_MIN**2 + 2 * BETA_SLOPE * level.square().log1p()).sqrt()
        return ((root - BETA_MIN) / BETA_SLOPE).clamp(0, 1)

    def sampler_levels(self, steps: int) -> list[float]:
        """Return `steps` levels, even in sigma^(1/7), then the clean image's 0."""
        return self.karras_levels(steps, 7)

    def karras_levels(self, steps: int, rho: float) -> list[float]:
        """Return `steps` levels, even in sigma^(1/rho), then the clean image's 0."""
        return [*karras_sigmas(self.options.sigma_min, self.options.sigma_max, steps, rho), 0.0]

    def nearest_level(self, sigma: float) -> float:
        """Return sigma, which is the level."""
        return sigma

    def initial_noise(self, noise: Tensor) -> Tensor:
        """Return noise at the highest level, where sampling starts."""
        return self.options.sigma_max * noise

    def level_tensor(self, level: float, n: int) -> Tensor:
        """Return a sampler's level as a tensor (n,)."""
        return self.like.new_full((n,), level)

    def signal_and_std(self, level: float) -> tuple[float, float]:
        """Return 1 and sigma."""
        return 1.0, level

    def _total_std(self, level: Tensor) -> Tensor:
        return (level.square() + self.options.sigma_data**2).sqrt()


class LogVar(nn.Module):
    """u(sigma), linear in Fourier features of c_noise = ln(sigma) / 4, the same in every run."""

    def __init__(self, options: Options):
        super().__init__()
        rng, num_features = torch.Generator().manual_seed(0), options.logvar_channels
        self.waves = Fourier(num_features, rng)
        if options.logvar == "mp":
            self.line: nn.Module = MPLayer(num_features, 1, rng=rng)
        else:
            self.line = nn.Linear(num_features, 1, bias=False)
            nn.init.zeros_(self.line.weight)

    def forward(self, c_noise: Tensor) -> Tensor:
        """Map c_noise (B,) to u (B,)."""
        return self.line(math.sqrt(2) * self.waves(c_noise))[:, 0]
