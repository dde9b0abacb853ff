"""Batches from a data set that lives on the device as uint8.

Which images, flips and dropped labels make up update u depends on (seed, u) alone and is drawn on
the host, so it is the same on every device and after any interruption. No loader processes.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ltdm.errors import LtdmError
from ltdm.methods._base import Batch
from ltdm.seeding import derive
from ltdm.training.options import TrainOptions


class Batches:
    """Draws the batch of any update.

    Args:
        images: uint8, shape (N, C, H, W).
        labels: int64, shape (N,).
        options: Batch size, class sampling, flips and label dropout.
        seed: Owner of all draws, with the update.
        device: Where the images live from now on.

    Raises:
        LtdmError: The batch is larger than the data set.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        options: TrainOptions,
        seed: int,
        device: torch.device,
    ):
        if options.batch > len(images):
            raise LtdmError(
                f"train.batch is {options.batch}, but the training set has only {len(images)}"
                " images; take a smaller batch"
            )
        self.options, self.seed, self.device = options, seed, device
        self.images = torch.from_numpy(images).to(device)
        self.labels = labels
        self.by_class = np.argsort(labels, kind="stable")
        self.sizes = np.bincount(labels)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.permutation = lru_cache(maxsize=1)(self._permutation)

    def draw(self, update: int) -> Batch:
        """Return the batch of an update."""
        rng = np.random.default_rng(derive("batch", self.seed, update))
        size = self.options.batch
        balanced = self.options.class_sampling == "balanced"
        chosen = self._balanced(rng) if balanced else self._natural(update)
        flips = rng.random(size) < 0.5
        dropped = rng.random(size) < self.options.label_dropout
        x0 = self.images[self._move(chosen)]
        if self.options.flip:
            mirror = self._move(flips)[:, None, None, None]
            x0 = torch.where(mirror, x0.flip(-1), x0)
        labels = np.where(dropped, -1, self.labels[chosen])
        kept = np.flatnonzero(~dropped)
        return Batch(x0.float() / 127.5 - 1, self._move(labels), self._move(kept))

    def _move(self, array: np.ndarray) -> Tensor:
        """Copy to the device without waiting for it."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def _natural(self, update: int) -> np.ndarray:
        """Walk a fresh permutation each epoch; the remainder of an epoch is left out."""
        epoch, position = divmod(update, len(self.images) // self.options.batch)
        start = position * self.options.batch
        return self.permutation(epoch)[start : start + self.options.batch]

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng(derive("epoch", self.seed, epoch)).permutation(
            len(self.images)
        )

    def _balanced(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a class uniformly, then one of its images uniformly, with replacement."""
        classes = rng.integers(len(self.sizes), size=self.options.batch)
        places = (rng.random(self.options.batch) * self.sizes[classes]).astype(np.int64)
        return self.by_class[self.starts[classes] + places]
