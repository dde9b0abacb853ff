"""Batches from a data set that lives on the device as uint8.

Which images, changes and dropped labels make up update u depends on (seed, u) alone and is drawn
on the host, so it is the same on every device and after any interruption. No loader processes.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ltdm.errors import LtdmError
from ltdm.methods._base import Batch
from ltdm.seeding import derive
from ltdm.training.augment import condition, draw, origins, warp
from ltdm.training.options import TrainOptions


class Batches:
    """Draws the batch of any update.

    Args:
        images: uint8, shape (N, C, H, W), from 0 to 255; float32 points are taken as they are.
        labels: int64, shape (N,).
        options: Batch size, class sampling, augmentation and label dropout.
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
        chances = options.class_sampling.chances(self.sizes)
        self.cdf = None if chances is None else np.cumsum(chances)
        self.permutation = lru_cache(maxsize=1)(self._permutation)

    def draw(self, update: int) -> Batch:
        """Return the batch of an update."""
        rng = np.random.default_rng(derive("batch", self.seed, update))
        size = self.options.batch
        chosen = self._natural(update) if self.cdf is None else self._by_class(self.cdf, rng)
        flips = rng.random(size) < 0.5
        dropped = rng.random(size) < self.options.label_dropout
        x0, augment = self.images[self._move(chosen)], None
        if self.options.augment == "flip":
            mirror = self._move(flips)[:, None, None, None]
            x0 = torch.where(mirror, x0.flip(-1), x0)
        if x0.dtype == torch.uint8:
            x0 = x0.float() / 127.5 - 1
        if self.options.augment == "karras":
            a = draw(size, self.options.augment_chance, rng)
            x0 = warp(x0, self._move(origins(a, x0.shape[-1])))
            augment = self._move(condition(a))
        labels = np.where(dropped, -1, self.labels[chosen])
        kept = np.flatnonzero(~dropped)
        return Batch(x0, self._move(labels), self._move(kept), augment)

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

    def _by_class(self, cdf: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a class by its chance, then one of its images uniformly, with replacement."""
        u = rng.random(self.options.batch) * cdf[-1]
        classes = np.searchsorted(cdf, u, side="right")
        places = (rng.random(self.options.batch) * self.sizes[classes]).astype(np.int64)
        return self.by_class[self.starts[classes] + places]
