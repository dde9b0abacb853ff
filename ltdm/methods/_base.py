"""What every objective shares: its interface and the corrupted batch it starts from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process

Net = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""F = net(x, level, labels, augment), called as `net(*inputs)`; see `Inputs` for shapes."""


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        x0: Images in [-1, 1], float32, shape (B, C, H, W).
        labels: Classes, int64, shape (B,); -1 where the label was dropped.
        kept: Positions in the batch whose label was kept, int64; its length is known to the host,
            so selecting by it waits for nothing.
        augment: What the network is told of each image's augmentation, (B, 9), if it is told.
    """

    x0: Tensor
    labels: Tensor
    kept: Tensor
    augment: Tensor | None = None


class Inputs(NamedTuple):
    """What the network is asked: x (B, C, H, W), level (B,), labels (B,), augment (B, 9) or None.

    It answers F (B, C, H, W), float32.
    """

    x: Tensor
    level: Tensor
    labels: Tensor
    augment: Tensor | None

    def rows(self, index: Tensor) -> "Inputs":
        """Return some of the rows."""
        told = None if self.augment is None else self.augment[index]
        return Inputs(self.x[index], self.level[index], self.labels[index], told)

    def labelled(self, labels: Tensor) -> "Inputs":
        """Return the same question under other labels."""
        return self._replace(labels=labels)

    def joined(self, other: "Inputs") -> "Inputs":
        """Return both as one batch."""
        told = None
        if self.augment is not None and other.augment is not None:
            told = torch.cat([self.augment, other.augment])
        x, level, labels = (torch.cat(pair) for pair in zip(self[:3], other[:3], strict=True))
        return Inputs(x, level, labels, told)


class Noised(NamedTuple):
    """A batch at drawn noise levels: what the network is asked, the levels, and its target."""

    inputs: Inputs
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
    seen = process.inputs(process.corrupt(batch.x0, noise, level), level)
    inputs = Inputs(*seen, batch.labels, batch.augment)
    return Noised(inputs, level, process.target(batch.x0, noise, level))


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return each image's mean squared error, shape (B,)."""
    return (a - b).square().flatten(1).mean(1)
