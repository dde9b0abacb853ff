"""Batches from a data set that lies on the device as uint8.

The images, augmentations and dropped labels of training step u depend on (seed, u) alone. They are
drawn on the host, so they are the same on every device and after any interruption. The device makes
the batch from these draws; there are no loader processes.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ltdm.core.seeding import derive_seed, owner_seeds
from ltdm.methods._base import Batch
from ltdm.training.augment import condition, draw_parameters, inverse_affine, warp
from ltdm.training.options import TrainOptions


class Batches:
    """Draws the contents of the batch of any training step, and makes the batch.

    Images are uint8 (N, C, H, W), or float32 points, which are used unscaled; labels are int64
    (N,). With `class_blocks` a batch consists of equal blocks, one per class; each is drawn as a
    batch of that class alone would be.

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
        class_blocks: bool = False,
    ):
        self.options, self.device = options, device
        self.labels, self.class_blocks = labels, class_blocks
        self.images = torch.from_numpy(images).to(device)
        self.num_classes = int(labels.max()) + 1
        self.size = options.effective_batch_size(self.num_classes if class_blocks else 0)
        self.restrict(np.arange(len(labels)), seed)

    def restrict(self, rows: np.ndarray, seed: int) -> None:
        """Draw from these rows of the data set alone, in rising order, with another seed."""
        labels = self.labels[rows]
        class_counts = np.bincount(labels, minlength=self.num_classes).tolist()
        self.options.check_batch(class_counts, self.class_blocks)
        blocks = [rows]
        if self.class_blocks:
            blocks = [rows[labels == c] for c in range(self.num_classes)]
        self.samplers = [
            BatchSampler(self.labels, block, self.size // len(blocks), self.options, owner)
            for block, owner in zip(blocks, owner_seeds(seed, len(blocks)), strict=True)
        ]

    def draw(self, step: int) -> list[Tensor]:
        """Return the arguments of `make` after the levels, for a training step, on the host."""
        rows, flips, drops, changes = (
            np.concatenate(parts)
            for parts in zip(*(sampler.draw(step) for sampler in self.samplers), strict=True)
        )
        classes = self.labels[rows]
        arrays = [rows, classes, np.where(drops, -1, classes), flips]
        if self.options.augment == "ada":
            arrays += [inverse_affine(changes, self.images.shape[-1]), condition(changes)]
        return [torch.from_numpy(array) for array in arrays]

    def make(
        self,
        level: Tensor,
        rows: Tensor,
        classes: Tensor,
        labels: Tensor,
        flips: Tensor,
        affine: Tensor | None = None,
        augment: Tensor | None = None,
    ) -> Batch:
        """Return a batch; nothing in it waits for the device.

        All arguments lie on the device and have B rows: noise levels, rows of the data set (int64),
        their classes, the labels (the classes, with -1 where the label is dropped), and which
        images `augment: flip` mirrors (bool). For `ada`, `affine` is from `inverse_affine` and
        `augment` from `condition`.
        """
        x0 = self.images[rows]
        if self.options.augment == "flip":
            x0 = torch.where(flips[:, None, None, None], x0.flip(-1), x0)
        if x0.dtype == torch.uint8:
            x0 = x0.float() / 127.5 - 1
        return Batch(x0 if affine is None else warp(x0, affine), classes, labels, level, augment)


class BatchSampler:
    """Draws batches of `size` images from some rows of a data set; `seed` owns the draws."""

    def __init__(
        self, labels: np.ndarray, rows: np.ndarray, size: int, options: TrainOptions, seed: int
    ):
        self.size, self.options, self.seed, self.rows = size, options, seed, rows
        self.rows_by_class = rows[np.argsort(labels[rows], kind="stable")]
        self.class_counts = np.unique(labels[rows], return_counts=True)[1]
        self.class_starts = np.cumsum(self.class_counts) - self.class_counts
        probabilities = options.class_sampling.probabilities(self.class_counts)
        self.cdf = None if probabilities is None else np.cumsum(probabilities)
        self.permutation = lru_cache(maxsize=1)(self._permutation)

    def draw(self, step: int) -> tuple[np.ndarray, ...]:
        """Return the rows of a step (B,), its flips, its label drops, and its augmentations.

        The augmentations are those of `augment.draw_parameters`, (B, 8), or (B, 0).
        """
        rng, options = np.random.default_rng(derive_seed("batch", self.seed, step)), self.options
        rows = self._epoch_rows(step) if self.cdf is None else self._class_rows(self.cdf, rng)
        flips = rng.random(self.size) < 0.5
        coins = rng.random(1 if options.label_dropout_per == "batch" else self.size)
        drops = np.broadcast_to(coins < options.label_dropout, self.size)
        changes = np.zeros((self.size, 0))
        if options.augment == "ada":
            changes = draw_parameters(self.size, options.augment_prob, rng)
        return rows, flips, drops, changes

    def _epoch_rows(self, step: int) -> np.ndarray:
        """Take the step's rows from its epoch's permutation; an epoch's remainder is unused."""
        epoch, position = divmod(step, len(self.rows) // self.size)
        start = position * self.size
        return self.permutation(epoch)[start : start + self.size]

    def _permutation(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(derive_seed("epoch", self.seed, epoch))
        return self.rows[rng.permutation(len(self.rows))]

    def _class_rows(self, cdf: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a class by its probability, then one of its images uniformly, with replacement."""
        u = rng.random(self.size) * cdf[-1]
        classes = np.searchsorted(cdf, u, side="right")
        offsets = (rng.random(self.size) * self.class_counts[classes]).astype(np.int64)
        return self.rows_by_class[self.class_starts[classes] + offsets]
