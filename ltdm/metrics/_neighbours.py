"""Nearest neighbours by blocks of rows: memory grows with block x N, on a GPU where there is one.

Squared distances are |x|^2 + |y|^2 - 2 x.y in float32, of features whose common mean was taken
away. Their error is some 1e-7 of |x|^2 + |y|^2: it decides only between neighbours that are as good
as equally near, and ties, such as between exact copies, fall either way.
"""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltdm.core.device import pick_device
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
BLOCK = 1000  # rows of distances held at once


class Membership(NamedTuple):
    """Who lies strictly inside whose ball, of n real and m generated images."""

    holders: np.ndarray  # how many balls of real images hold each generated image, shape (m,)
    held: np.ndarray  # how many generated images each real image's ball holds, shape (n,)
    lone: np.ndarray  # where that is one, which one; else meaningless, shape (n,)
    covered: np.ndarray  # whether some generated image's ball holds each real image, shape (n,)


def membership(real: np.ndarray, fake: np.ndarray, k: int) -> Membership:
    """Say who lies in whose ball, of features (n, d) and (m, d), n and m above k.

    A ball's radius is the distance to the k-th neighbour in its own set, itself not counted.
    """
    try:
        return _membership(real, fake, k, pick_device())
    except torch.OutOfMemoryError:
        log.info("out of GPU memory: looking for neighbours on the CPU")
        return _membership(real, fake, k, torch.device("cpu"))


@torch.inference_mode()
def _membership(real: np.ndarray, fake: np.ndarray, k: int, device: torch.device) -> Membership:
    centre = real.mean(axis=0, dtype=np.float64).astype(np.float32)
    x, y = (torch.from_numpy(s - centre).to(device) for s in (real, fake))
    with Progress("neighbours", len(x) + 2 * len(y), "images") as progress:
        of_real, of_fake = (_radii(points, k, progress) for points in (x, y))
        held, lone = torch.zeros(2, len(x), device=device)
        covered, holders = torch.zeros(len(x), dtype=torch.bool, device=device), []
        for rows, near in _distances(y, x, progress):
            inside = (near < of_real).float()
            holders.append(inside.sum(1))
            held += inside.sum(0)
            lone += rows.float() @ inside
            covered |= (near < of_fake[rows, None]).any(0)
    found = torch.cat(holders).long(), held.long(), lone.long(), covered
    return Membership(*(t.cpu().numpy() for t in found))


def _radii(x: Tensor, k: int, progress: Progress) -> Tensor:
    """Return each point's squared distance to its k-th neighbour in the same set."""
    found = []
    for rows, near in _distances(x, x, progress):
        near[torch.arange(len(rows), device=x.device), rows] = torch.inf  # the point itself
        found.append(near.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(found)


def _distances(x: Tensor, y: Tensor, progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row numbers of x and their squared distances to all of y, shape (block, len(y))."""
    size_x, size_y = (points.square().sum(1) for points in (x, y))
    for rows in torch.arange(len(x), device=x.device).split(BLOCK):
        near = torch.addmm(size_y, x[rows], y.T, alpha=-2)
        yield rows, near.add_(size_x[rows, None]).clamp_(min=0)
        progress.advance(len(rows))
