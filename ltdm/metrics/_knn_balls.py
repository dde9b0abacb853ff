"""k-nearest-neighbour balls of real and generated images, in blocks, on a GPU if there is one.

Memory grows with BLOCK_ROWS x N. Squared distances are |x|^2 + |y|^2 - 2 x.y in float32, of
features minus the mean of the real ones. Their error is about 1e-7 (|x|^2 + |y|^2). It changes the
order only of neighbours at nearly equal distance; ties, as between exact copies, fall either way.
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
BLOCK_ROWS = 1000  # rows of the distance matrix in memory at a time


class BallMembership(NamedTuple):
    """Which images lie strictly inside which balls, of n real and m generated images."""

    real_balls: np.ndarray  # number of real images' balls around each generated image, shape (m,)
    members: np.ndarray  # number of generated images in each real image's ball, shape (n,)
    sole_member: np.ndarray  # which generated image, where that is one; else undefined, shape (n,)
    in_generated_ball: np.ndarray  # whether each real image is in a generated one's ball, (n,)


def count_members(real: np.ndarray, fake: np.ndarray, k: int) -> BallMembership:
    """Count which images lie in whose balls, of features (n, d) and (m, d), with n, m > k.

    The radius of a ball is the distance to the k-th neighbour in the same set, the image itself not
    counted. If the GPU runs out of memory, the search runs on the CPU.
    """
    try:
        return _count_on(real, fake, k, pick_device())
    except torch.OutOfMemoryError:
        log.info("out of GPU memory: searching for neighbours on the CPU")
        return _count_on(real, fake, k, torch.device("cpu"))


@torch.inference_mode()
def _count_on(real: np.ndarray, fake: np.ndarray, k: int, device: torch.device) -> BallMembership:
    centre = real.mean(axis=0, dtype=np.float64).astype(np.float32)
    x, y = (torch.from_numpy(features - centre).to(device) for features in (real, fake))
    with Progress("neighbours", len(x) + 2 * len(y), "images") as progress:
        real_radii, fake_radii = (_squared_radii(features, k, progress) for features in (x, y))
        members, sole_member = torch.zeros(2, len(x), device=device)
        in_generated_ball, real_balls = torch.zeros(len(x), dtype=torch.bool, device=device), []
        for rows, squared in _squared_distances(y, x, progress):
            inside = (squared < real_radii).float()
            real_balls.append(inside.sum(1))
            members += inside.sum(0)
            sole_member += rows.float() @ inside
            in_generated_ball |= (squared < fake_radii[rows, None]).any(0)
    arrays = torch.cat(real_balls).long(), members.long(), sole_member.long(), in_generated_ball
    return BallMembership(*(t.cpu().numpy() for t in arrays))


def _squared_radii(x: Tensor, k: int, progress: Progress) -> Tensor:
    """Return the squared distance of each row of x to its k-th neighbour in x, shape (N,)."""
    radii = []
    for rows, squared in _squared_distances(x, x, progress):
        squared[torch.arange(len(rows), device=x.device), rows] = torch.inf  # the image itself
        radii.append(squared.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(radii)


def _squared_distances(x: Tensor, y: Tensor, progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row numbers of x and their squared distances to all of y, shape (block, len(y))."""
    norms_x, norms_y = (features.square().sum(1) for features in (x, y))
    for rows in torch.arange(len(x), device=x.device).split(BLOCK_ROWS):
        squared = torch.addmm(norms_y, x[rows], y.T, alpha=-2)
        yield rows, squared.add_(norms_x[rows, None]).clamp_(min=0)
        progress.advance(len(rows))
