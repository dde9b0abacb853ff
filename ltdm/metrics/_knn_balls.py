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

from ltdm.core.device import pick
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
BLOCK_ROWS = 1000  # rows of distances held at once


class BallMembership(NamedTuple):
    """Who lies strictly inside whose ball, of n real and m generated images."""

    real_balls: np.ndarray  # how many balls of real images hold each generated image, shape (m,)
    members: np.ndarray  # how many generated images each real image's ball holds, shape (n,)
    sole_member: np.ndarray  # where that is one, which one; else meaningless, shape (n,)
    in_generated_ball: (
        np.ndarray
    )  # whether some generated image's ball holds each real image, shape (n,)


def count_members(real: np.ndarray, fake: np.ndarray, k: int) -> BallMembership:
    """Say who lies in whose ball, of features (n, d) and (m, d), n and m above k.

    A ball's radius is the distance to the k-th neighbour in its own set, itself not counted.
    """
    try:
        return _count_on(real, fake, k, pick())
    except torch.OutOfMemoryError:
        log.info("out of GPU memory: looking for neighbours on the CPU")
        return _count_on(real, fake, k, torch.device("cpu"))


@torch.inference_mode()
def _count_on(real: np.ndarray, fake: np.ndarray, k: int, device: torch.device) -> BallMembership:
    centre = real.mean(axis=0, dtype=np.float64).astype(np.float32)
    x, y = (torch.from_numpy(s - centre).to(device) for s in (real, fake))
    with Progress("neighbours", len(x) + 2 * len(y), "images") as progress:
        real_radii, fake_radii = (_squared_radii(points, k, progress) for points in (x, y))
        members, sole_member = torch.zeros(2, len(x), device=device)
        in_generated_ball, real_balls = torch.zeros(len(x), dtype=torch.bool, device=device), []
        for rows, squared in _squared_distances(y, x, progress):
            inside = (squared < real_radii).float()
            real_balls.append(inside.sum(1))
            members += inside.sum(0)
            sole_member += rows.float() @ inside
            in_generated_ball |= (squared < fake_radii[rows, None]).any(0)
    counts = torch.cat(real_balls).long(), members.long(), sole_member.long(), in_generated_ball
    return BallMembership(*(t.cpu().numpy() for t in counts))


def _squared_radii(x: Tensor, k: int, progress: Progress) -> Tensor:
    """Return each point's squared distance to its k-th neighbour in the same set."""
    counts = []
    for rows, squared in _squared_distances(x, x, progress):
        squared[torch.arange(len(rows), device=x.device), rows] = torch.inf  # the point itself
        counts.append(squared.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(counts)


def _squared_distances(x: Tensor, y: Tensor, progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row numbers of x and their squared distances to all of y, shape (block, len(y))."""
    norms_x, norms_y = (points.square().sum(1) for points in (x, y))
    for rows in torch.arange(len(x), device=x.device).split(BLOCK_ROWS):
        squared = torch.addmm(norms_y, x[rows], y.T, alpha=-2)
        yield rows, squared.add_(norms_x[rows, None]).clamp_(min=0)
        progress.advance(len(rows))
