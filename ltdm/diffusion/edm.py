"""EDM's process with EDM2's weighting: x = x_0 + sigma n, levels are sigma.

    D(x; sigma) = c_skip x + c_out F(c_in x, ln(sigma) / 4),        S^2 = sigma^2 + sigma_data^2,
    c_skip = sigma_data^2 / S^2,   c_out = sigma sigma_data / S,   c_in = 1 / S,
    F* = (sigma x_0 / sigma_data - sigma_data n) / S,      ln sigma ~ N(P_mean, P_std^2).

EDM weighs |D - x_0|^2 by 1 / c_out^2, which makes it |F - F*|^2: the loss is written so, without
the division. EDM2 learns, beside the network, the log of what is left of it at each level, u, and
minimises e^-u |F - F*|^2 + u: every level then weighs the same. Terms of other methods are
multiplied by this e^-u too, in which no gradient flows; separate networks share one u. Sampling has
no use for it.

s(sigma), by which those terms are weighed too, is by default t / T of DDPM's schedule at the same
ratio of noise to signal: a term's weight against the denoising loss at a noise level is then the
published one, and it alone, not EDM's own weights, decides what an ideal network learns there.
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
"""T beta_1 and T (beta_T - beta_1) of DDPM's schedule, of which `term_weighting: snr` is made."""


@dataclass(frozen=True)
class Options:
    """Levels of training and sampling, and how they are weighed."""

    P_mean: float = option(-1.2, "Mean of ln sigma in training.", low=-10, high=10)
    P_std: float = option(1.2, "Standard deviation of ln sigma in training.", above=0, high=10)
    sigma_data: float = option(0.5, "Standard deviation of the images, in [-1, 1].", above=0)
    sigma_min: float = option(
        0.002, "Lowest level of a sampler, the clean image's apart.", low=1e-6
    )
    sigma_max: float = option(80.0, "Highest level of a sampler.", above=0, high=1e6)
    term_weighting: str = option(
        "snr",
        "What s(sigma) is: t / T of DDPM at the same noise (`snr`), the share of training levels"
        " below (`quantile`), or the place on the sampler's grid (`sampler`).",
        choices=("snr", "quantile", "sampler"),
    )
    logvar: str = option(
        "mp",
        "How u(sigma) is learnt: a row of norm 1 (`mp`, for networks with such weights), a"
        " linear layer that begins at 0 (`linear`), or not at all (`none`).",
        choices=("mp", "linear", "none"),
    )
    logvar_channels: int = option(128, "Waves of ln sigma that u is made of.", low=1)

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        if self.sigma_max <= self.sigma_min:
            raise OptionError(("sigma_max",), f"must be above sigma_min ({self.sigma_min:g})")


TRAINING_ONLY = ("P_mean", "P_std", "term_weighting", "logvar", "logvar_channels")
"""Options that only training depends on: what a network says means the same whatever they are."""


def build(options: Options) -> "EDM":
    """Make the process."""
    return EDM(options)


class EDM(Process):
    """See the module."""

    like: Tensor

    def __init__(self, options: Options):
        super().__init__()
        self.options = options
        self.uncertainty = None if options.logvar == "none" else LogVar(options)
        self.register_buffer("like", torch.zeros(()), persistent=False)  # knows the device

    def draw_levels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n levels, log-normal."""
        normal = torch.randn(n, generator=rng, device=rng.device)
        return (self.options.P_mean + self.options.P_std * normal).exp()

    def corrupt(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return x for images x0 in [-1, 1], shape (B, C, H, W), and standard normal noise."""
        return x0 + expand_like(level, x0) * noise

    def target(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return F*, of variance 1 where the images have that of sigma_data."""
        data, whole = self.options.sigma_data, self._total_std(level)
        return expand_like(level / (data * whole), x0) * x0 - expand_like(data / whole, x0) * noise

    def network_inputs(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return c_in x and c_noise."""
        return x / expand_like(self._total_std(level), x), level.log() / 4

    def to_denoised(self, F: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """Return D, the estimate of x_0 that F stands for."""
        data, whole = self.options.sigma_data, self._total_std(level)
        skip, out = (data / whole).square(), level * data / whole
        return expand_like(skip, x) * x + expand_like(out, x) * F

    def logvar(self, level: Tensor) -> Tensor | None:
        """Return u(sigma) of levels (B,), (B,), with its gradient."""
        return None if self.uncertainty is None else self.uncertainty(level.log() / 4)

    def sigma(self, level: Tensor) -> Tensor:
        """Return the levels themselves."""
        return level

    def noise_progress(self, level: Tensor) -> Tensor:
        """Return how far the levels lie towards pure noise, in [0, 1]; see the module."""
        one = self.options
        if one.term_weighting == "quantile":
            return torch.special.ndtr((level.log() - one.P_mean) / one.P_std)
        if one.term_weighting == "sampler":
            low, high = (sigma ** (1 / 7) for sigma in (one.sigma_min, one.sigma_max))
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
        """Return the level with this ratio of noise to signal."""
        return sigma

    def initial_noise(self, noise: Tensor) -> Tensor:
        """Return where sampling starts: noise at the highest level."""
        return self.options.sigma_max * noise

    def level_tensor(self, level: float, n: int) -> Tensor:
        """Return a level as training sees it, shape (n,)."""
        return self.like.new_full((n,), level)

    def signal_and_std(self, level: float) -> tuple[float, float]:
        """Return the factors of image and noise: 1 and sigma."""
        return 1.0, level

    def _total_std(self, level: Tensor) -> Tensor:
        return (level.square() + self.options.sigma_data**2).sqrt()


class LogVar(nn.Module):
    """u(sigma): a line in frozen waves of c_noise = ln(sigma) / 4, the same in every run."""

    def __init__(self, options: Options):
        super().__init__()
        rng, number = torch.Generator().manual_seed(0), options.logvar_channels
        self.waves = Fourier(number, rng)
        if options.logvar == "mp":
            self.line: nn.Module = MPLayer(number, 1, rng=rng)
        else:
            self.line = nn.Linear(number, 1, bias=False)
            nn.init.zeros_(self.line.weight)

    def forward(self, c_noise: Tensor) -> Tensor:
        """Map (B,) to (B,)."""
        return self.line(math.sqrt(2) * self.waves(c_noise))[:, 0]
