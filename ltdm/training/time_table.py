"""The table of the time embedding in released checkpoints: the sinusoidal one, or one near it.

The averages of these codes include the table, though it is constant. In float32 they move it: they
multiply by 0.9999 and by 1 - 0.9999, rounded, whose sum is not 1, and increments below half a unit
in the last place are lost. The averaged network was only ever run with its own table.
"""

import math

import torch
from torch import Tensor

from ltdm.plumbing.errors import LtdmError

TOLERANCE = 0.01
"""Largest distance of a table from the formula.

In float32 an average moves the table by at most 1.7e-4 with a decay of 0.9999, 1.4e-3 with 0.99999,
and then rests; rounding to bfloat16 moves it by 2e-3. Other embeddings differ by about 1.
"""


def own_table(place: str, table: Tensor) -> Tensor | None:
    """Return a table (T, ch) in float32 if it is not the formula's, up to rounding; else None.

    Raises:
        LtdmError: It is another embedding; the message begins with `place`.
    """
    formula, angle = sinusoidal_table(*table.shape)
    distance = (table.float() - formula.to(table.dtype).float()).abs()
    if not (distance <= TOLERANCE + 1e-6 * len(table)).all():
        raise LtdmError(
            f"{place} uses a different time embedding from pytorch-ddpm's sinusoidal one, so it"
            " cannot be loaded into ltdm's U-Net"
        )
    eps32 = torch.finfo(torch.float32).eps
    rounding = 2 * max(eps32, torch.finfo(table.dtype).eps) + eps32 * angle
    return None if (distance <= rounding).all() else table.float()


def drift(table: Tensor) -> float:
    """Return the largest distance of a table (T, ch) from the formula."""
    return float((table - sinusoidal_table(*table.shape)[0]).abs().max())


def sinusoidal_table(timesteps: int, ch: int) -> tuple[Tensor, Tensor]:
    """Return the table sin(t f_0), cos(t f_0), sin(t f_1), ... and its angles, (timesteps, ch).

    It is computed in float32, as in the released codes.
    """
    frequency = torch.exp(-torch.arange(0, ch, 2) / ch * math.log(10_000))
    angle = torch.arange(timesteps).float()[:, None] * frequency
    table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    return table, angle.repeat_interleave(2, dim=1)
