"""What objectives and samplers ask of a diffusion process."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


class Process(nn.Module, ABC):
    """Levels, corruption and targets: x = signal * x0 + std * noise.

    Training sees levels as tensors (B,), samplers as numbers, one for a whole batch.
    """

    @abstractmethod
    def draw_levels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw levels (n,) as the training loss weighs them, on the generator's device."""

    @abstractmethod
    def corrupt(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return noisy images from images x0 (B, C, H, W) in [-1, 1] and standard normal noise."""

    @abstractmethod
    def target(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return F*, what the network should say."""

    @abstractmethod
    def network_inputs(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network sees of noisy images and their levels."""

    @abstractmethod
    def to_denoised(self, F: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """Return the estimate of the clean images that F stands for."""

    @abstractmethod
    def sigma(self, level: Tensor) -> Tensor:
        """Return the ratio of noise to signal, std / signal, above zero."""

    @abstractmethod
    def noise_progress(self, level: Tensor) -> Tensor:
        """Return how far towards pure noise levels lie, in [0, 1]."""

    @abstractmethod
    def sampler_levels(self, steps: int) -> list[float]:
        """Return the levels that a sampler visits, noisiest first, then the clean image's.

        Raises:
            LtdmError: There are fewer levels than steps.
        """

    @abstractmethod
    def karras_levels(self, steps: int, rho: float) -> list[float]:
        """Return `steps` different levels, about even in sigma^(1/rho), then the clean image's.

        Raises:
            LtdmError: There are not so many different ones.
        """

    @abstractmethod
    def nearest_level(self, sigma: float) -> float:
        """Return the level whose ratio of noise to signal is nearest."""

    def logvar(self, level: Tensor) -> Tensor | None:
        """Return the log of the denoising loss that is expected at levels (B,), where it is learnt.

        Losses are divided by what it stands for; (B,), with its gradient.
        """
        return None

    @abstractmethod
    def initial_noise(self, noise: Tensor) -> Tensor:
        """Return noisy images at the grid's first level, from standard normal noise alone."""

    @abstractmethod
    def level_tensor(self, level: float, n: int) -> Tensor:
        """Return a level of the grid as training sees it: a tensor (n,)."""

    @abstractmethod
    def signal_and_std(self, level: float) -> tuple[float, float]:
        """Return signal and std at a level of the grid; the last one has std 0."""


class ProcessModule(Protocol):
    """What the file of a diffusion process defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s; see `ProcessOptionsExtras` for one with a meaning."""

    def build(self, options: Any) -> Process:
        """Make the process; it has no weights but those of `logvar`."""


class ProcessModuleExtras(Protocol):
    """What it may define beside."""

    @property
    def TRAINING_ONLY(self) -> tuple[str, ...]:
        """Options that only training depends on: networks that differ in them may guide each other.

        Without it: none, ().
        """


class ProcessOptionsExtras(Protocol):
    """An option that it may have."""

    @property
    def noise_conditioning(self) -> str:
        """How `inputs` writes levels for the network: "timestep" or "log_sigma".

        The first is a number, the second ln(sigma) / 4. The second is assumed of a
        process without this option.
        """


def karras_sigmas(low: float, high: float, steps: int, rho: float) -> list[float]:
    """Return `steps` numbers from high to low, even in their rho-th root.

    Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
    NeurIPS 2022, equation 5.
    """
    roots = np.linspace(high ** (1 / rho), low ** (1 / rho), steps)
    return (roots**rho).tolist()


def expand_like(values: Tensor, like: Tensor) -> Tensor:
    """Give per-image values (B,) the dimensions of a batch of images."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
