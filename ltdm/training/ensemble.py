"""Iterative ensemble training: networks are trained on shards of the data and averaged.

The training set is split into shards with equal class counts, up to one image. All networks start
from the same weights. In each round every shard continues its training from the last average; then
the weights of all shards, and their moving averages (EMA), become w = sum_k n_k w_k / sum_k n_k,
where shard k has n_k images. Adam's moments, the warm-up and a method's own state (AGC's bank) stay
with their shard and are never averaged. No network is trained on all images, which is meant to keep
the average from memorising them.
Source: Liu et al., "Iterative Ensemble Training with Anti-Gradient Control for Mitigating
Memorization in Diffusion Models", ECCV 2024, algorithm 1; the averaging is FedAvg's (McMahan et
al., AISTATS 2017).

Released code: needs classes of equal size, leaves out the remainders of the shards, and holds the
network, averages and optimiser of every shard on the device. Here classes may have any size, every
image is in one shard, and one network at a time is on the device.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ltdm.core.seeding import derive_seed
from ltdm.training.options import TrainOptions

Weights = dict[str, Tensor]


def shard_seed(seed: int, shard: int) -> int:
    """Return the seed of a shard's draws; shard 0 has that of a run without shards."""
    return derive_seed("shard", seed, shard) if shard else seed


def deal_counts(class_counts: Iterable[int], shards: int) -> np.ndarray:
    """Return the number of images of each class in each shard, (shards, classes).

    Images are dealt like cards, class after class: the shards' counts of a class differ by one at
    most, and so do the shards' sizes. A class with fewer images than shards is missing in some.
    """
    counts, offset = [], 0
    for n in class_counts:
        shard_of_image = (offset + np.arange(n)) % shards
        counts.append(np.bincount(shard_of_image, minlength=shards))
        offset += n
    return np.stack(counts, axis=1)


def shard_rows(labels: np.ndarray, shards: int) -> list[np.ndarray]:
    """Return the rows of each shard's images, in rising order.

    A shard has a contiguous run of each class's images, as in the released code. Training sets of
    ltdm are shuffled within the classes, so neighbours are unrelated.
    """
    counts = deal_counts(np.bincount(labels), shards)
    ends = np.cumsum(counts, axis=0)[:-1]
    parts = [np.split(np.flatnonzero(labels == c), end) for c, end in enumerate(ends.T)]
    return [np.sort(np.concatenate(part)) for part in zip(*parts, strict=True)]


def shard_class_counts(options: TrainOptions, class_counts: Sequence[int]) -> list[list[int]]:
    """Return the class counts of each shard; without an ensemble, one shard has all images."""
    return deal_counts(class_counts, options.ensemble.shards if options.ensemble else 1).tolist()


def shard_steps(options: TrainOptions, num_images: int, batch_size: int) -> int:
    """Return the training steps per round of a shard of `num_images` images.

    Without an ensemble, the whole training is one round of one shard.
    """
    ensemble = options.ensemble
    if ensemble and ensemble.epochs:
        return ensemble.epochs * (num_images // batch_size)
    return options.steps // (ensemble.shards * ensemble.rounds if ensemble else 1)


def total_steps(options: TrainOptions, class_counts: Sequence[int], class_blocks: bool) -> int:
    """Return the training steps of a run, over all shards and rounds."""
    batch_size = options.effective_batch_size(len(class_counts) if class_blocks else 0)
    sizes = [sum(counts) for counts in shard_class_counts(options, class_counts)]
    steps_per_round = sum(shard_steps(options, size, batch_size) for size in sizes)
    return steps_per_round * (options.ensemble.rounds if options.ensemble else 1)


def weighted_mean(shards: Iterable[tuple[int, Weights]]) -> Weights:
    """Return the mean of the shards' weights, weighted by their images; summed in float64.

    The shards, (images, weights), are consumed one at a time.
    """
    total, sums, dtypes = 0, dict[str, Tensor](), dict[str, torch.dtype]()
    for images, weights in shards:
        total += images
        for name, weight in weights.items():
            dtypes[name] = weight.dtype
            part = weight.cpu().double() * images
            sums[name] = sums[name].add_(part) if name in sums else part
    return {name: (value / total).to(dtypes[name]) for name, value in sums.items()}
