"""Batches from a data set that lives on the device as uint8.

Which images, changes and dropped labels make up update u depends on (seed, u) alone and is drawn
on the host, so it is the same on every device and after any interruption. The batch itself is made
from these draws on the device. No loader processes.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ltdm.core.seeding import derive_seed, owner_seeds
from ltdm.methods._base import Batch
from ltdm.training.augment import condition, draw, origins, warp
from ltdm.training.options import TrainOptions


class Batches:
    """Draws what makes up the batch of any update, and makes it.

    Images are uint8 (N, C, H, W) or float32 points, which are taken as they are; labels are int64
    (N,). With `by_class` a batch consists of equal blocks, one a class, each drawn as a batch of
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
        """Draw from the images at some positions, rising, from now on, by another owner."""
        labels = self.labels[share]
        held = np.bincount(labels, minlength=self.classes).tolist()
        self.options.check_batch(held, self.by_class)
        blocks = [share[labels == c] for c in range(self.classes)] if self.by_class else [share]
        self.draws = [
            Draws(self.labels, block, self.size // len(blocks), self.options, owner)
            for block, owner in zip(blocks, owner_seeds(seed, len(blocks)), strict=True)
        ]

    def draw(self, update: int) -> list[Tensor]:
        """Return what `make` takes after the levels, for an update, on the host."""
        chosen, mirrored, dropped, changes = (
            np.concatenate(parts)
            for parts in zip(*(draws.draw(update) for draws in self.draws), strict=True)
        )
        classes = self.labels[chosen]
        arrays = [chosen, classes, np.where(dropped, -1, classes), mirrored]
        if self.options.augment == "ada":
            arrays += [origins(changes, self.images.shape[-1]), condition(changes)]
        return [torch.from_numpy(array) for array in arrays]

    def make(
        self,
        level: Tensor,
        chosen: Tensor,
        classes: Tensor,
        labels: Tensor,
        mirrored: Tensor,
        origin: Tensor | None = None,
        augment: Tensor | None = None,
    ) -> Batch:
        """Return a batch; nothing in it waits for the device.

        Everything lies on the device and has B rows: the noise levels, positions in the data set
        (int64), their classes, those again with -1 where the label is dropped, and which images
        `augment: flip` mirrors (bool). `ada` adds what `origins` and `condition` return.
        """
        x0 = self.images[chosen]
        if self.options.augment == "flip":
            x0 = torch.where(mirrored[:, None, None, None], x0.flip(-1), x0)
        if x0.dtype == torch.uint8:
            x0 = x0.float() / 127.5 - 1
        return Batch(x0 if origin is None else warp(x0, origin), classes, labels, level, augment)


class Draws:
    """What one owner, `seed`, draws from the positions `share` of a data set, `size` a batch."""

    def __init__(
        self, labels: np.ndarray, share: np.ndarray, size: int, options: TrainOptions, seed: int
    ):
        self.size, self.options, self.seed, self.share = size, options, seed, share
        self.by_class = share[np.argsort(labels[share], kind="stable")]
        self.sizes = np.unique(labels[share], return_counts=True)[1]
        self.starts = np.cumsum(self.sizes) - self.sizes
        chances = options.class_sampling.chances(self.sizes)
        self.cdf = None if chances is None else np.cumsum(chances)
        self.permutation = lru_cache(maxsize=1)(self._permutation)

    def draw(self, update: int) -> tuple[np.ndarray, ...]:
        """Return an update's positions (B,), the mirrored ones, those without a label; changes.

        The changes are those of `augment.draw`, (B, 8), or (B, 0).
        """
        rng, options = np.random.default_rng(derive_seed("batch", self.seed, update)), self.options
        chosen = self._natural(update) if self.cdf is None else self._by_class(self.cdf, rng)
        flips = rng.random(self.size) < 0.5
        coins = rng.random(1 if options.label_dropout_per == "batch" else self.size)
        dropped = np.broadcast_to(coins < options.label_dropout, self.size)
        changes = np.zeros((self.size, 0))
        if options.augment == "ada":
            changes = draw(self.size, options.augment_prob, rng)
        return chosen, flips, dropped, changes

    def _natural(self, update: int) -> np.ndarray:
        """Walk a fresh permutation each epoch; the remainder of an epoch is left out."""
        epoch, position = divmod(update, len(self.share) // self.size)
        start = position * self.size
        return self.permutation(epoch)[start : start + self.size]

    def _permutation(self, epoch: int) -> np.ndarray:
        order = np.random.default_rng(derive_seed("epoch", self.seed, epoch))
        return self.share[order.permutation(len(self.share))]

    def _by_class(self, cdf: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a class by its chance, then one of its images uniformly, with replacement."""
        u = rng.random(self.size) * cdf[-1]
        classes = np.searchsorted(cdf, u, side="right")
        places = (rng.random(self.size) * self.sizes[classes]).astype(np.int64)
        return self.by_class[self.starts[classes] + places]
