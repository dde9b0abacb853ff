"""Iterative ensemble training: networks that learn from shards of the data and are averaged.

The training set is cut into shards of alike classes. One network, drawn once, starts for all; in
each round every shard trains it on from where the last average left it, and then the weights of
all, and their moving averages (EMA), become w = sum_k n_k w_k / sum_k n_k, where shard k has n_k
images. Adam's moments, the warm-up and what a method remembers (AGC's bank) stay with their shard
and are never averaged. No shard's training sees all images, which is meant to keep the average from
knowing them by heart.
Source: Liu et al., "Iterative Ensemble Training with Anti-Gradient Control for Mitigating
Memorization in Diffusion Models", ECCV 2024, algorithm 1; the averaging is FedAvg's (McMahan et
al., AISTATS 2017).

Released code: needs classes of one size, leaves remainders of the shards out, and holds every
shard's network, averages and optimiser on the device. Here classes may have any size, every image
is in one shard, and one network at a time is on the device.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ltdm.core.seeding import derive_seed
from ltdm.training.options import TrainOptions

Weights = dict[str, Tensor]


def owner(seed: int, shard: int) -> int:
    """Return the owner of a shard's draws; the first one's are those of a run without shards."""
    return derive_seed("shard", seed, shard) if shard else seed


def dealt(class_counts: Iterable[int], shards: int) -> np.ndarray:
    """Return the images of each class in each shard, (shards, classes).

    Images are dealt out like cards, class after class: the shards' counts of a class differ by one
    at most, and so do their sizes. A class that has fewer images than shards is missing in some.
    """
    sizes, before = [], 0
    for n in class_counts:
        hands = (before + np.arange(n)) % shards
        sizes.append(np.bincount(hands, minlength=shards))
        before += n
    return np.stack(sizes, axis=1)


def split(labels: np.ndarray, shards: int) -> list[np.ndarray]:
    """Return the positions of each shard's images, in rising order.

    A shard has a run of neighbours of each class, as in the released code. Training sets of ltdm
    are shuffled within the classes, so neighbours have nothing in common.
    """
    sizes = dealt(np.bincount(labels), shards)
    ends = np.cumsum(sizes, axis=0)[:-1]
    parts = [np.split(np.flatnonzero(labels == c), end) for c, end in enumerate(ends.T)]
    return [np.sort(np.concatenate(part)) for part in zip(*parts, strict=True)]


def shares(options: TrainOptions, class_counts: Sequence[int]) -> list[list[int]]:
    """Return the class counts of each shard, or of the whole training set without an ensemble."""
    return dealt(class_counts, options.ensemble.shards if options.ensemble else 1).tolist()


def shard_updates(options: TrainOptions, images: int, size: int) -> int:
    """Return the updates of a round of a shard with so many images, `size` an update.

    Without an ensemble, that is all of the training.
    """
    one = options.ensemble
    if one and one.epochs:
        return one.epochs * (images // size)
    return options.steps // (one.shards * one.rounds if one else 1)


def all_updates(options: TrainOptions, class_counts: Sequence[int], by_class: bool) -> int:
    """Return the updates of a run on a training set, those of all shards and rounds."""
    size = options.images_an_update(len(class_counts) if by_class else 0)
    once = sum(shard_updates(options, sum(part), size) for part in shares(options, class_counts))
    return once * (options.ensemble.rounds if options.ensemble else 1)


def averaged(shards: Iterable[tuple[int, Weights]]) -> Weights:
    """Return the mean of weights, each counted by its shard's images; summed in float64.

    The shards, (images, weights), are asked for one after the other.
    """
    total, sums, kinds = 0, dict[str, Tensor](), dict[str, torch.dtype]()
    for images, weights in shards:
        total += images
        for name, weight in weights.items():
            kinds[name] = weight.dtype
            part = weight.cpu().double() * images
            sums[name] = sums[name].add_(part) if name in sums else part
    return {name: (value / total).to(kinds[name]) for name, value in sums.items()}
