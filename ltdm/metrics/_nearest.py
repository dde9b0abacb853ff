"""The nearest training images of generated ones: exact, by blocks, on a GPU where there is one.

Squared distances are |g|^2 + |x|^2 - 2 g.x in levels less 128: of SLICE of them at once, every sum
is a whole number that float32 holds, in whatever order it is taken, so matrix products are exact;
int64 adds them up. A distance and the image's number make one key, so there are no ties. The result
is the same to the bit whatever the blocks, threads and device. Points are compared in float64.
"""

import logging
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltdm.core.device import pick_device
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
BLOCK = 4096  # images at once, generated and training ones
ELEMENTS = 2**24  # pixels at once, of either
SLICE = 2**10  # times 128^2 is 2^24, up to where float32 holds every whole number


class Found(NamedTuple):
    """The nearest training images of each generated one, the nearest first; ties by number."""

    squared: np.ndarray  # squared distances, of pixels in [0, 1] or points, float64, shape (N, n)
    numbers: np.ndarray  # which they are, int32, shape (N, n)
    mirrored: np.ndarray  # whether it is the mirror image that is so near, shape (N, n)


def nearest(images: np.ndarray, train: np.ndarray, k: int, flip: bool) -> Found:
    """Find the nearest training images of each generated one.

    Both are uint8, shape (N, C, H, W), or points, float32, (N, d, 1, 1). There must be at least as
    many training images as neighbours. With `flip` one is as near as the nearer of it and its
    mirror image.
    """
    try:
        return _nearest(images, train, k, flip, pick_device())
    except torch.OutOfMemoryError:
        log.info("out of GPU memory: looking for the nearest images on the CPU")
        return _nearest(images, train, k, flip, torch.device("cpu"))


@torch.inference_mode()
def _nearest(
    images: np.ndarray, train: np.ndarray, n: int, flip: bool, device: torch.device
) -> Found:
    levels = train.dtype == np.uint8
    find = _of_levels if levels else _of_points
    x = torch.from_numpy(train).flatten(1).to(device)
    blocks = []
    with Progress("nearest training images", len(images), "images") as progress:
        for block in torch.from_numpy(images).split(_rows(x)):
            # Mirroring the generated image is as good as mirroring every training image.
            ways = [block, block.flip(3)] if flip else [block]
            blocks.append(find([way.flatten(1).to(device) for way in ways], x, n))
            progress.advance(len(block))
    squared, numbers, mirrored = (torch.cat(t).cpu().numpy() for t in zip(*blocks, strict=True))
    return Found(squared / (255**2 if levels else 1), numbers.astype(np.int32), mirrored)


def _rows(x: Tensor) -> int:
    return max(1, min(BLOCK, ELEMENTS // x.shape[1]))


def _of_levels(ways: list[Tensor], x: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return squared distances, numbers and mirrorings of the n nearest, each of shape (B, n).

    `ways` are generated images, uint8, shape (B, d), as they are and mirrored if that counts; x are
    the training images, (M, d).
    """
    made = [way.float().sub_(128) for way in ways]
    step = len(x) * len(ways)  # of the key, for one more in a squared distance
    own = [step * _sizes(g)[:, None] for g in made]
    best, first = own[0][:, :0], 0
    for chunk in x.split(_rows(x)):
        known = chunk.float().sub_(128)
        numbers = torch.arange(first, first + len(chunk), device=x.device)
        last = step * _sizes(known) + len(ways) * numbers
        keys = [_products(g, known).mul_(-2 * step).add_(size).add_(last + way)
                for way, (g, size) in enumerate(zip(made, own, strict=True))]  # fmt: skip
        nearer = keys[0] if len(keys) == 1 else torch.minimum(*keys)
        near = nearer.topk(min(n, len(chunk)), dim=1, largest=False, sorted=False).values
        best = torch.cat([best, near], dim=1).sort(dim=1).values[:, :n]
        first += len(chunk)
    squared, rest = best // step, best % step
    return squared.double(), rest // len(ways), rest % len(ways) == 1


def _sizes(x: Tensor) -> Tensor:
    """Return |x|^2 of each row of levels less 128, exact, int64 (N,)."""
    return torch.stack([part.square().sum(1) for part in x.split(SLICE, dim=1)]).long().sum(0)


def _products(g: Tensor, x: Tensor) -> Tensor:
    """Return g.x of all rows of levels less 128, exact, int64 (B, M)."""
    total = torch.zeros(len(g), len(x), dtype=torch.int64, device=x.device)
    for one, other in zip(g.split(SLICE, dim=1), x.split(SLICE, dim=1), strict=True):
        total += (one @ other.T).long()
    return total


def _of_points(ways: list[Tensor], x: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same of points, which have no mirror image."""
    blocks = []
    for g in ways[0].double().split(max(1, ELEMENTS // x.numel())):
        blocks.append((g[:, None] - x).square().sum(2).sort(dim=1, stable=True))
    squared, numbers = (torch.cat(t)[:, :n] for t in zip(*blocks, strict=True))
    return squared, numbers, torch.zeros_like(numbers, dtype=torch.bool)
