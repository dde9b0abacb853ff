"""What objectives and samplers ask of a diffusion process."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Process(nn.Module):
    """Levels, corruption and targets; every process implements all of it.

    Attributes:
        alpha_bar: The share of signal variance at each level of the sampling grid; [-1] is 1.
    """

    alpha_bar: Sequence[float]

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw levels (n,) as the training loss weighs them."""
        raise NotImplementedError

    def corrupt(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return noisy images from images x0 (B, C, H, W) in [-1, 1] and standard normal noise."""
        raise NotImplementedError

    def target(self, x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return F*, what the network should say."""
        raise NotImplementedError

    def inputs(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network sees of noisy images and their levels."""
        raise NotImplementedError

    def denoised(self, F: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """Return the estimate of the clean images that F stands for."""
        raise NotImplementedError

    def progress(self, level: Tensor) -> Tensor:
        """Return how far towards pure noise levels lie, in [0, 1]."""
        raise NotImplementedError

    def grid(self, steps: int) -> list[int]:
        """Return the levels that a sampler visits, then the clean image's -1."""
        raise NotImplementedError
