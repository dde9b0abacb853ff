"""The interface of a diffusion process, as objectives and samplers use it."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


class Process(nn.Module, ABC):
    """Noise levels, corruption and targets: x = signal * x0 + std * noise.

    Images are (B, C, H, W); clean ones, x0, lie in [-1, 1]. A level is a tensor (B,) in training
    and a number in sampling, the same for the batch.
    """

    @property
    def timesteps(self) -> int | None:
        """Number of timesteps, if the levels are timesteps 0 (cleanest), 1, ..; None if not."""
        return None

    @abstractmethod
    def draw_levels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw levels (n,) from the distribution of training, on the generator's device."""

    @abstractmethod
    def corrupt(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return noisy images from clean images and standard normal noise."""

    @abstractmethod
    def target(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return F*, the network's regression target."""

    @abstractmethod
    def network_inputs(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's inputs for noisy images and their levels: scaled x, and c_noise."""

    @abstractmethod
    def to_denoised(self, F: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """Return the estimate of the clean images from the network's output F at noisy x."""

    @abstractmethod
    def sigma(self, level: Tensor) -> Tensor:
        """Return the noise-to-signal ratio std / signal, above zero."""

    @abstractmethod
    def noise_progress(self, level: Tensor) -> Tensor:
        """Return s, the nearness to pure noise in [0, 1], which weighs the terms of methods."""

    @abstractmethod
    def sampler_levels(self, steps: int) -> list[float]:
        """Return the `steps` levels of a sampler, noisiest first, then that of the clean image.

        Raises:
            OptionError: The process has fewer levels than `steps`, which its path names.
        """

    @abstractmethod
    def karras_levels(self, steps: int, rho: float) -> list[float]:
        """Return `steps` distinct levels, nearly even in sigma^(1/rho), then the clean image's.

        Raises:
            OptionError: The process has fewer distinct levels of this spacing; the path is `steps`.
        """

    @abstractmethod
    def nearest_level(self, sigma: float) -> float:
        """Return the level whose noise-to-signal ratio is nearest to sigma."""

    def logvar(self, level: Tensor) -> Tensor | None:
        """Return u, the learnt log of the expected denoising loss, or None if it is not learnt.

        It maps levels (B,) to (B,) and has a gradient. Losses are divided by e^u.
        """
        return None

    @abstractmethod
    def initial_noise(self, noise: Tensor) -> Tensor:
        """Return noisy images at the sampler's first level from standard normal noise alone."""

    @abstractmethod
    def level_tensor(self, level: float, n: int) -> Tensor:
        """Return a sampler's level as a tensor (n,), as in training."""

    @abstractmethod
    def signal_and_std(self, level: float) -> tuple[float, float]:
        """Return signal and std at a sampler's level; std is 0 at the clean image's."""


class ProcessModule(Protocol):
    """What every diffusion process's file defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty if there is none."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s; one may be that of `ProcessOptionsExtras`."""

    def build(self, options: Any) -> Process:
        """Make the process; it has no weights except those of `logvar`."""


class ProcessModuleExtras(Protocol):
    """What a diffusion process's file may define in addition."""

    @property
    def TRAINING_ONLY(self) -> tuple[str, ...]:
        """Options that do not change the meaning of a network's output. Default: ().

        Networks whose processes differ only in them may guide each other.
        """


class ProcessOptionsExtras(Protocol):
    """An option that a diffusion process may have."""

    @property
    def noise_conditioning(self) -> str:
        """The c_noise of `network_inputs`: "timestep", a number, or "log_sigma", ln(sigma) / 4.

        A process without this option uses "log_sigma".
        """


def karras_sigmas(low: float, high: float, steps: int, rho: float) -> list[float]:
    """Return `steps` sigmas from high to low, even in sigma^(1/rho).

    Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
    NeurIPS 2022, equation 5.
    """
    roots = np.linspace(high ** (1 / rho), low ** (1 / rho), steps)
    return (roots**rho).tolist()


def expand_like(values: Tensor, like: Tensor) -> Tensor:
    """Reshape per-image values (B,) to (B, 1, ...), to broadcast over the images `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
