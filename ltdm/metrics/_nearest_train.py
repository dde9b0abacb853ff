"""Exact nearest training images of generated images, in blocks, on a GPU if there is one.

Squared distances are |g|^2 + |x|^2 - 2 g.x of pixel values minus 128. Sums over EXACT_PIXELS
pixels at a time are integers that float32 represents exactly, in any order of summation, so matrix
products are exact; int64 adds them up. A distance and the image's row number are packed into one
key, so there are no ties. The result is bitwise the same for any block size, number of threads, and
device. Points are compared in float64 instead.
"""

import logging
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltdm.core.device import pick_device
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
BLOCK_IMAGES = 4096  # most images in a block, generated and training
BLOCK_PIXELS = 2**24  # most pixels in a block, of either
EXACT_PIXELS = 2**10  # times 128^2 is 2^24, the largest range of exact integers in float32


class Neighbours(NamedTuple):
    """The k nearest training images of each of N images, nearest first; ties by row number."""

    squared_distances: np.ndarray  # of pixels in [0, 1], or of points; float64, shape (N, k)
    rows: np.ndarray  # row numbers in the training set, int32, shape (N, k)
    mirrored: np.ndarray  # whether the mirror image is the nearer one, bool, shape (N, k)


def find_nearest(images: np.ndarray, train: np.ndarray, k: int, flip: bool) -> Neighbours:
    """Find the k nearest training images of each image.

    Both sets are uint8 images, shape (N, C, H, W), or float32 points, (N, d, 1, 1); `train` has at
    least k of them. With `flip`, a training image counts at the smaller distance of itself and its
    mirror image. If the GPU runs out of memory, the search runs on the CPU.
    """
    try:
        return _find_on(images, train, k, flip, pick_device())
    except torch.OutOfMemoryError:
        log.info("out of GPU memory: searching for the nearest images on the CPU")
        return _find_on(images, train, k, flip, torch.device("cpu"))


@torch.inference_mode()
def _find_on(
    images: np.ndarray, train: np.ndarray, k: int, flip: bool, device: torch.device
) -> Neighbours:
    are_images = train.dtype == np.uint8
    search_block = _nearest_by_pixels if are_images else _nearest_by_points
    x = torch.from_numpy(train).flatten(1).to(device)
    results = []
    with Progress("nearest training images", len(images), "images") as progress:
        for block in torch.from_numpy(images).split(_block_size(x)):
            # Mirroring the generated image gives the same distance as mirroring the training image.
            variants = [block, block.flip(3)] if flip else [block]
            variants = [variant.flatten(1).to(device) for variant in variants]
            results.append(search_block(variants, x, k))
            progress.advance(len(block))
    squared, rows, mirrored = (torch.cat(t).cpu().numpy() for t in zip(*results, strict=True))
    return Neighbours(squared / (255**2 if are_images else 1), rows.astype(np.int32), mirrored)


def _block_size(x: Tensor) -> int:
    """Return how many images (N, d) make a block."""
    return max(1, min(BLOCK_IMAGES, BLOCK_PIXELS // x.shape[1]))


def _nearest_by_pixels(variants: list[Tensor], x: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return squared distances, rows, and mirror flags of the k nearest, each of shape (B, k).

    `variants` are generated images, uint8, (B, d): as they are, then mirrored if that counts. x are
    the training images, (M, d). A key is (squared distance * M + row) * variants + variant.
    """
    centred = [variant.float().sub_(128) for variant in variants]
    key_step = len(x) * len(variants)  # of the key, per unit of squared distance
    norm_keys = [key_step * _squared_norms(g)[:, None] for g in centred]
    best, first_row = norm_keys[0][:, :0], 0
    for chunk in x.split(_block_size(x)):
        centred_chunk = chunk.float().sub_(128)
        rows = torch.arange(first_row, first_row + len(chunk), device=x.device)
        chunk_keys = key_step * _squared_norms(centred_chunk) + len(variants) * rows
        keys = []
        for variant, (g, norm_key) in enumerate(zip(centred, norm_keys, strict=True)):
            products = _inner_products(g, centred_chunk).mul_(-2 * key_step)
            keys.append(products.add_(norm_key).add_(chunk_keys + variant))
        smallest = keys[0] if len(keys) == 1 else torch.minimum(*keys)
        candidates = smallest.topk(min(k, len(chunk)), dim=1, largest=False, sorted=False).values
        best = torch.cat([best, candidates], dim=1).sort(dim=1).values[:, :k]
        first_row += len(chunk)
    squared, remainder = best // key_step, best % key_step
    return squared.double(), remainder // len(variants), remainder % len(variants) == 1


def _squared_norms(x: Tensor) -> Tensor:
    """Return |x|^2 of each row of pixel values minus 128; exact, int64, shape (N,)."""
    parts = [part.square().sum(1) for part in x.split(EXACT_PIXELS, dim=1)]
    return torch.stack(parts).long().sum(0)


def _inner_products(g: Tensor, x: Tensor) -> Tensor:
    """Return g.x of all pairs of rows of pixel values minus 128; exact, int64, shape (B, M)."""
    total = torch.zeros(len(g), len(x), dtype=torch.int64, device=x.device)
    for g_part, x_part in zip(g.split(EXACT_PIXELS, 1), x.split(EXACT_PIXELS, 1), strict=True):
        total += (g_part @ x_part.T).long()
    return total


def _nearest_by_points(variants: list[Tensor], x: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same as `_nearest_by_pixels` for points, which have no mirror image."""
    blocks = []
    for g in variants[0].double().split(max(1, BLOCK_PIXELS // x.numel())):
        blocks.append((g[:, None] - x).square().sum(2).sort(dim=1, stable=True))
    squared, rows = (torch.cat(t)[:, :k] for t in zip(*blocks, strict=True))
    return squared, rows, torch.zeros_like(rows, dtype=torch.bool)
