"""The augmentation of Karras et al. as one tensor operation on the device, with its condition.

Each image is flipped, scaled, rotated, stretched and shifted, each with a given probability. The
network is conditioned on nine numbers that describe the change, so zeros give plain images.
Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS
2022, appendix F.2. Constants are those of the codes of CBDM and IGD, where the horizontal flip has
no gate.
"""

import math

import numpy as np
import torch
from torch import Tensor

CONDITION_DIM = 9
SCALE_UNIT = 2**0.2  # factor of one unit of scaling and of stretching
SHIFT_UNIT = 1 / 8  # one unit of translation, as a fraction of the image's side


def draw_parameters(n: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the parameters a0 .. a7 of n images, float64 (n, 8).

    They are: horizontal flip, vertical flip, log scale, angle, direction of the stretch, log
    stretch, shift right, shift down. Each gate is open with `probability`; direction and stretch
    share a gate, and so do both shifts.
    """
    gates = rng.random((n, 5)) < probability
    normal, angle = rng.standard_normal((n, 4)), rng.uniform(-math.pi, math.pi, (n, 2))
    flips = rng.random((n, 2)) < 0.5
    columns = (
        flips[:, 0],
        flips[:, 1] & gates[:, 0],
        normal[:, 0] * gates[:, 1],
        angle[:, 0] * gates[:, 2],
        angle[:, 1] * gates[:, 3],
        normal[:, 1] * gates[:, 3],
        normal[:, 2] * gates[:, 4],
        normal[:, 3] * gates[:, 4],
    )
    return np.stack(columns, axis=1)


def condition(a: np.ndarray) -> np.ndarray:
    """Map parameters a (n, 8) to the network's condition, float32 (n, 9); zeros for no change."""
    stretch = a[:, 5] * np.cos(a[:, 4]), a[:, 5] * np.sin(a[:, 4])
    rotation = np.cos(a[:, 3]) - 1, np.sin(a[:, 3])
    columns = (a[:, 0], a[:, 1], a[:, 2], *rotation, *stretch, a[:, 6], a[:, 7])
    return np.stack(columns, axis=1).astype(np.float32)


def inverse_affine(a: np.ndarray, side: int) -> np.ndarray:
    """Map parameters a (n, 8) to the maps from target to source pixels, float32 (n, 2, 3).

    A map applies to (column, row, 1) of an image of `side` x `side` pixels.
    """
    ones, centre = np.ones(len(a)), np.full(len(a), (side - 1) / 2)
    size, stretch = SCALE_UNIT ** a[:, 2], SCALE_UNIT ** a[:, 5]
    forward = (
        _shift(centre, centre)
        @ _scale(1 - 2 * a[:, 0], ones)
        @ _scale(ones, 1 - 2 * a[:, 1])
        @ _scale(size, size)
        @ _rotation(-a[:, 3])
        @ _rotation(a[:, 4])
        @ _scale(stretch, 1 / stretch)
        @ _rotation(-a[:, 4])
        @ _shift(side * SHIFT_UNIT * a[:, 6], side * SHIFT_UNIT * a[:, 7])
        @ _shift(-centre, -centre)
    )
    return np.linalg.inv(forward)[:, :2].astype(np.float32)


def warp(x: Tensor, affine: Tensor) -> Tensor:
    """Resample square images x (B, C, S, S) by the maps of `inverse_affine`, (B, 2, 3).

    Interpolation is bicubic (Catmull-Rom), and images are reflected about the centres of their edge
    pixels. Values may overshoot the input's range a little, as in the codes that this follows.
    """
    side = x.shape[-1]
    axis = torch.arange(side, device=x.device, dtype=affine.dtype)
    row, column = axis.repeat_interleave(side), axis.repeat(side)
    position = affine[:, :, :1] * column + affine[:, :, 1:2] * row + affine[:, :, 2:]
    (left, across), (top, down) = (_cubic_weights(position[:, k]) for k in (0, 1))
    pixels = x.flatten(2)
    result = torch.zeros_like(pixels)
    for dy in range(4):
        row_start = _reflect(top + dy - 1, side) * side
        for dx in range(4):
            index = row_start + _reflect(left + dx - 1, side)
            weight = (down[dy] * across[dx])[:, None]
            result += weight * pixels.gather(2, index[:, None].expand_as(pixels))
    return result.reshape(x.shape)


def _cubic_weights(position: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the pixel at or before each position, and the weights of the four around it."""
    first = position.floor()
    t = position - first
    return first.long(), [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]


def _reflect(index: Tensor, side: int) -> Tensor:
    """Bring indices into the image by reflection at the centres of its edge pixels."""
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
