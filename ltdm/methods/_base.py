"""What every objective shares: its interface and the corrupted batch it starts from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process

Net = Callable[[Tensor, Tensor, Tensor], Tensor]
"""F = net(x, level, labels): shapes (B, C, H, W), (B,), (B,) -> (B, C, H, W), float32."""


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        x0: Images in [-1, 1], float32, shape (B, C, H, W).
        labels: Classes, int64, shape (B,); -1 where the label was dropped.
        kept: Positions in the batch whose label was kept, int64; its length is known to the host,
            so selecting by it waits for nothing.
    """

    x0: Tensor
    labels: Tensor
    kept: Tensor


class Noised(NamedTuple):
    """A batch at drawn noise levels: the noisy images, their levels and the network's target."""

    x: Tensor
    level: Tensor
    target: Tensor


class Method(nn.Module, ABC):
    """An objective. What it must remember between updates lives in its buffers."""

    @abstractmethod
    def loss(
        self, net: Net, batch: Batch, process: Process, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Return named terms, each one value an image, shape (B,); their sum is minimised.

        The data term is called `denoise`. Branches that need a gradient go through the network as
        one batch. Learnt parameters of an objective are trained with the network's.
        """


def noised(batch: Batch, process: Process, rng: torch.Generator) -> Noised:
    """Draw a level and noise for each image and corrupt it."""
    level = process.draw(len(batch.x0), rng)
    noise = torch.randn(batch.x0.shape, generator=rng, device=batch.x0.device, dtype=batch.x0.dtype)
    x = process.corrupt(batch.x0, noise, level)
    return Noised(x, level, process.target(batch.x0, noise, level))


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return each image's mean squared error, shape (B,)."""
    return (a - b).square().flatten(1).mean(1)
