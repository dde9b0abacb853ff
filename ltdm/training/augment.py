"""The augmentation of Karras et al. as one tensor operation on the device, with its condition.

Flips, scaling, rotation, stretching and shifting of each image, each with chance `chance`; the
network gets what was done as nine numbers, so that it can draw plain images when given zeros.
Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS
2022, appendix F.2; constants as in the codes of CBDM and IGD, where the mirroring has no gate.
"""

import math

import numpy as np
import torch
from torch import Tensor

CONDITION_DIM = 9
FACTOR = 2**0.2  # one unit of scaling and of stretching
SHIFT = 1 / 8  # one unit of translation, in sides


def draw_parameters(n: int, chance: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the parameters a0 .. a7 of n images, float64 (n, 8).

    Horizontal flip, vertical flip, log scale, angle, stretch's direction, log stretch, shift right,
    shift down. Each gate is open with chance `chance`; stretch and shift have one gate each.
    """
    done = rng.random((n, 5)) < chance
    normal, angle = rng.standard_normal((n, 4)), rng.uniform(-math.pi, math.pi, (n, 2))
    flips = rng.random((n, 2)) < 0.5
    columns = (
        flips[:, 0], flips[:, 1] & done[:, 0], normal[:, 0] * done[:, 1], angle[:, 0] * done[:, 2],
        angle[:, 1] * done[:, 3], normal[:, 1] * done[:, 3],
        normal[:, 2] * done[:, 4], normal[:, 3] * done[:, 4],
    )  # fmt: skip
    return np.stack(columns, axis=1)


def condition(a: np.ndarray) -> np.ndarray:
    """Return the network's condition, (n, 8) -> float32 (n, 9); zeros where nothing was done."""
    columns = (
        a[:, 0], a[:, 1], a[:, 2], np.cos(a[:, 3]) - 1, np.sin(a[:, 3]),
        a[:, 5] * np.cos(a[:, 4]), a[:, 5] * np.sin(a[:, 4]), a[:, 6], a[:, 7],
    )  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def inverse_affine(a: np.ndarray, side: int) -> np.ndarray:
    """Return where pixels come from: (n, 8) -> float32 (n, 2, 3), applied to (column, row, 1)."""
    one, centre = np.ones(len(a)), np.full(len(a), (side - 1) / 2)
    size, stretch = FACTOR ** a[:, 2], FACTOR ** a[:, 5]
    moved = (
        _shift(centre, centre)
        @ _scale(1 - 2 * a[:, 0], one)
        @ _scale(one, 1 - 2 * a[:, 1])
        @ _scale(size, size)
        @ _rotation(-a[:, 3])
        @ _rotation(a[:, 4])
        @ _scale(stretch, 1 / stretch)
        @ _rotation(-a[:, 4])
        @ _shift(side * SHIFT * a[:, 6], side * SHIFT * a[:, 7])
        @ _shift(-centre, -centre)
    )
    return np.linalg.inv(moved)[:, :2].astype(np.float32)


def warp(x: Tensor, origin: Tensor) -> Tensor:
    """Fetch square images x (B, C, S, S) from where `origin` (B, 2, 3) says.

    Interpolation is bicubic (Catmull-Rom) and images are mirrored about the centres of their edge
    pixels. Values may leave the input's range a little, as in the codes it follows.
    """
    side = x.shape[-1]
    at = torch.arange(side, device=x.device, dtype=origin.dtype)
    row, column = at.repeat_interleave(side), at.repeat(side)
    where = origin[:, :, :1] * column + origin[:, :, 1:2] * row + origin[:, :, 2:]
    (left, across), (top, down) = (_taps(where[:, axis]) for axis in (0, 1))
    pixels = x.flatten(2)
    moved = torch.zeros_like(pixels)
    for dy in range(4):
        line = _mirrored(top + dy - 1, side) * side
        for dx in range(4):
            place = line + _mirrored(left + dx - 1, side)
            weight = (down[dy] * across[dx])[:, None]
            moved += weight * pixels.gather(2, place[:, None].expand_as(pixels))
    return moved.reshape(x.shape)


def _taps(position: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the pixel at or before each position, and the weights of the four around it."""
    first = position.floor()
    t = position - first
    return first.long(), [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]


def _mirrored(index: Tensor, side: int) -> Tensor:
    """Bring indices into the image by mirroring at the centres of its edge pixels."""
    if side == 1:
        return torch.zeros_like(index)
    within = index.remainder(2 * side - 2)
    return torch.minimum(within, 2 * side - 2 - within)


def _matrix(*rows: tuple[np.ndarray | float, ...]) -> np.ndarray:
    """Stack entries, numbers or arrays (n,), to matrices (n, 3, 3)."""
    flat = np.broadcast_arrays(*(entry for row in rows for entry in row))
    return np.stack(flat, axis=-1).reshape(-1, 3, 3)


def _scale(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _matrix((x, 0, 0), (0, y, 0), (0, 0, 1))


def _shift(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _matrix((1, 0, x), (0, 1, y), (0, 0, 1))


def _rotation(angle: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return _matrix((c, -s, 0), (s, c, 0), (0, 0, 1))
