"""When things are due in training: the learning rate of an update, the next save."""

import math
import os

from ltdm.plumbing.errors import LtdmError
from ltdm.training.options import TrainOptions

MIN_SAVE_SECONDS, SAVE_COST_FACTOR = 60.0, 30
"""Seconds between two saves of the state, and how many times a save's own cost they are at least:
one of gigabytes takes a quarter of a minute."""


def save_interval(cost: float = 0.0) -> float:
    """Return the seconds from a save of the state, which took `cost` of them, to the next.

    $LTDM_SAVE_SECONDS is what counts if it is set; it raises LtdmError if that is no number.
    """
    text = os.environ.get("LTDM_SAVE_SECONDS")
    if not text:
        return max(MIN_SAVE_SECONDS, SAVE_COST_FACTOR * cost)
    try:
        return float(text)
    except ValueError:
        raise LtdmError(f"LTDM_SAVE_SECONDS must be a number of seconds, not {text!r}") from None


def learning_rate(options: TrainOptions, update: int, size: int) -> float:
    """Return the rate of an update of `size` images: a rise from 0, then constant or falling.

    The first update has rate 0 where there is a rise, as in the released codes.
    Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
    2024, equation 67.
    """
    shown, rate = update * size, options.lr
    if options.warmup_images:
        rate = rate * min(shown, options.warmup_images) / options.warmup_images
    elif options.warmup_steps:
        rate = rate * min(update, options.warmup_steps) / options.warmup_steps
    return (
        rate / math.sqrt(max(shown / options.lr_decay_images, 1))
        if options.lr_decay_images
        else rate
    )
