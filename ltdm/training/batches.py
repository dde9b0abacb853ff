"""Batches from a data set that lives on the device as uint8.

Which images, changes and dropped labels make up update u depends on (seed, u) alone and is drawn
on the host, so it is the same on every device and after any interruption. No loader processes.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltdm.methods._base import Batch, moved, positions
from ltdm.seeding import derive, owners
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
        by_class: Whether a batch is made of equal blocks, one a class, each drawn as a batch of
            that class alone would be.

    Raises:
        OptionError: The batch is larger than the data set.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        options: TrainOptions,
        seed: int,
        device: torch.device,
        by_class: bool = False,
    ):
        self.options, self.device, self.labels, self.by_class = options, device, labels, by_class
        self.images = torch.from_numpy(images).to(device)
        self.classes = int(labels.max()) + 1
        self.size = options.images_an_update(self.classes if by_class else 0)
        self.deal(np.arange(len(labels)), seed)

    def deal(self, share: np.ndarray, seed: int) -> None:
        """Draw from some images from now on, by another owner.

        Args:
            share: Their positions, rising.
            seed: Owner.
        """
        labels, options = self.labels, self.options
        held = np.bincount(labels[share], minlength=self.classes).tolist()
        options.check_batch(held, self.by_class)
        shares = [share]
        if self.by_class:
            shares = [share[labels[share] == c] for c in range(self.classes)]
        each = self.size // len(shares)
        self.draws = [
            Draws(labels, one, each, options, owner)
            for one, owner in zip(shares, owners(seed, len(shares)), strict=True)
        ]

    def draw(self, update: int) -> Batch:
        """Return the batch of an update."""
        chosen, flips, dropped, changes = (
            np.concatenate(parts)
            for parts in zip(*(draws.draw(update) for draws in self.draws), strict=True)
        )
        x0, augment = self.images[self._move(chosen)], None
        if self.options.augment == "flip":
            mirror = self._move(flips)[:, None, None, None]
            x0 = torch.where(mirror, x0.flip(-1), x0)
        if x0.dtype == torch.uint8:
            x0 = x0.float() / 127.5 - 1
        if self.options.augment == "karras":
            x0 = warp(x0, self._move(origins(changes, x0.shape[-1])))
            augment = self._move(condition(changes))
        classes = self.labels[chosen]
        labels, labelled = np.where(dropped, -1, classes), torch.from_numpy(~dropped)
        told = self._move(classes), self._move(labels), labelled
        return Batch(x0, *told, positions(labelled, self.device), augment)

    def _move(self, array: np.ndarray) -> Tensor:
        return moved(torch.from_numpy(array), self.device)


class Drawn(NamedTuple):
    """Which images make up a batch, (B,), and what becomes of each."""

    chosen: np.ndarray
    flips: np.ndarray
    dropped: np.ndarray
    changes: np.ndarray


class Draws:
    """What one owner draws: positions in the data set, mirroring, dropped labels, augmentation.

    Args:
        labels: Of the whole data set.
        share: The positions to draw from.
        size: Images a batch.
        options: As for `Batches`.
        seed: Owner, with the update.
    """

    def __init__(
        self,
        labels: np.ndarray,
        share: np.ndarray,
        size: int,
        options: TrainOptions,
        seed: int,
    ):
        self.size, self.options, self.seed, self.share = size, options, seed, share
        self.by_class = share[np.argsort(labels[share], kind="stable")]
        self.sizes = np.unique(labels[share], return_counts=True)[1]
        self.starts = np.cumsum(self.sizes) - self.sizes
        chances = options.class_sampling.chances(self.sizes)
        self.cdf = None if chances is None else np.cumsum(chances)
        self.permutation = lru_cache(maxsize=1)(self._permutation)

    def draw(self, update: int) -> Drawn:
        """Return the draws of an update."""
        rng, options = np.random.default_rng(derive("batch", self.seed, update)), self.options
        chosen = self._natural(update) if self.cdf is None else self._by_class(self.cdf, rng)
        flips = rng.random(self.size) < 0.5
        coins = rng.random(1 if options.label_dropout_per == "batch" else self.size)
        dropped = np.broadcast_to(coins < options.label_dropout, self.size)
        changes = np.zeros((self.size, 0))
        if options.augment == "karras":
            changes = draw(self.size, options.augment_chance, rng)
        return Drawn(chosen, flips, dropped, changes)

    def _natural(self, update: int) -> np.ndarray:
        """Walk a fresh permutation each epoch; the remainder of an epoch is left out."""
        epoch, position = divmod(update, len(self.share) // self.size)
        start = position * self.size
        return self.permutation(epoch)[start : start + self.size]

    def _permutation(self, epoch: int) -> np.ndarray:
        order = np.random.default_rng(derive("epoch", self.seed, epoch))
        return self.share[order.permutation(len(self.share))]

    def _by_class(self, cdf: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a class by its chance, then one of its images uniformly, with replacement."""
        u = rng.random(self.size) * cdf[-1]
        classes = np.searchsorted(cdf, u, side="right")
        places = (rng.random(self.size) * self.sizes[classes]).astype(np.int64)
        return self.by_class[self.starts[classes] + places]
