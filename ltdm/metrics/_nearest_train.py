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

from ltdm.core.device import pick
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
BLOCK_IMAGES = 4096  # images at once, generated and training ones
BLOCK_PIXELS = 2**24  # pixels at once, of either
EXACT_PIXELS = 2**10  # times 128^2 is 2^24, up to where float32 holds every whole number


class Neighbours(NamedTuple):
    """The nearest training images of each generated one, the nearest first; ties by number."""

    squared_distances: (
        np.ndarray
    )  # squared distances, of pixels in [0, 1] or points, float64, shape (N, n)
    rows: np.ndarray  # which they are, int32, shape (N, n)
    mirrored: np.ndarray  # whether it is the mirror image that is so near, shape (N, n)


def find_nearest(images: np.ndarray, train: np.ndarray, k: int, flip: bool) -> Neighbours:
    """Find the nearest training images of each generated one.

    Both are uint8, shape (N, C, H, W), or points, float32, (N, d, 1, 1). There must be at least as
    many training images as neighbours. With `flip` one is as near as the nearer of it and its
    mirror image.
    """
    try:
        return _find_on(images, train, k, flip, pick())
    except torch.OutOfMemoryError:
        log.info("out of GPU memory: looking for the nearest images on the CPU")
        return _find_on(images, train, k, flip, torch.device("cpu"))


@torch.inference_mode()
def _find_on(
    images: np.ndarray, train: np.ndarray, n: int, flip: bool, device: torch.device
) -> Neighbours:
    are_images = train.dtype == np.uint8
    search_block = _nearest_by_pixels if are_images else _nearest_by_points
    x = torch.from_numpy(train).flatten(1).to(device)
    blocks = []
    with Progress("nearest training images", len(images), "images") as progress:
        for block in torch.from_numpy(images).split(_block_size(x)):
            # Mirroring the generated image is as good as mirroring every training image.
            variants = [block, block.flip(3)] if flip else [block]
            blocks.append(
                search_block([variant.flatten(1).to(device) for variant in variants], x, n)
            )
            progress.advance(len(block))
    squared_distances, rows, mirrored = (
        torch.cat(t).cpu().numpy() for t in zip(*blocks, strict=True)
    )
    return Neighbours(
        squared_distances / (255**2 if are_images else 1), rows.astype(np.int32), mirrored
    )


def _block_size(x: Tensor) -> int:
    return max(1, min(BLOCK_IMAGES, BLOCK_PIXELS // x.shape[1]))


def _nearest_by_pixels(variants: list[Tensor], x: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return squared distances, numbers and mirrorings of the n nearest, each of shape (B, n).

    `ways` are generated images, uint8, shape (B, d), as they are and mirrored if that counts; x are
    the training images, (M, d).
    """
    centred = [variant.float().sub_(128) for variant in variants]
    key_step = len(x) * len(variants)  # of the key, for one more in a squared distance
    norm_keys = [key_step * _squared_norms(g)[:, None] for g in centred]
    best, first_row = norm_keys[0][:, :0], 0
    for chunk in x.split(_block_size(x)):
        chunk_centred = chunk.float().sub_(128)
        rows = torch.arange(first_row, first_row + len(chunk), device=x.device)
        chunk_keys = key_step * _squared_norms(chunk_centred) + len(variants) * rows
        keys = [_inner_products(g, chunk_centred).mul_(-2 * key_step).add_(norm_key).add_(chunk_keys + variant)
                for variant, (g, norm_key) in enumerate(zip(centred, norm_keys, strict=True))]  # fmt: skip
        smallest = keys[0] if len(keys) == 1 else torch.minimum(*keys)
        candidates = smallest.topk(min(n, len(chunk)), dim=1, largest=False, sorted=False).values
        best = torch.cat([best, candidates], dim=1).sort(dim=1).values[:, :n]
        first_row += len(chunk)
    squared_distances, remainder = best // key_step, best % key_step
    return squared_distances.double(), remainder // len(variants), remainder % len(variants) == 1


def _squared_norms(x: Tensor) -> Tensor:
    """Return |x|^2 of each row of levels less 128, exact, int64 (N,)."""
    return (
        torch.stack([part.square().sum(1) for part in x.split(EXACT_PIXELS, dim=1)]).long().sum(0)
    )


def _inner_products(g: Tensor, x: Tensor) -> Tensor:
    """Return g.x of all rows of levels less 128, exact, int64 (B, M)."""
    total = torch.zeros(len(g), len(x), dtype=torch.int64, device=x.device)
    for a, b in zip(g.split(EXACT_PIXELS, dim=1), x.split(EXACT_PIXELS, dim=1), strict=True):
        total += (a @ b.T).long()
    return total


def _nearest_by_points(variants: list[Tensor], x: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same of points, which have no mirror image."""
    blocks = []
    for g in variants[0].double().split(max(1, BLOCK_PIXELS // x.numel())):
        blocks.append((g[:, None] - x).square().sum(2).sort(dim=1, stable=True))
    squared_distances, rows = (torch.cat(t)[:, :n] for t in zip(*blocks, strict=True))
    return squared_distances, rows, torch.zeros_like(rows, dtype=torch.bool)
