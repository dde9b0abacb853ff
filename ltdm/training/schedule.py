"""When things are due in training: the learning rate of an update, the next save."""

import math
import os

from ltdm.errors import LtdmError
from ltdm.training.options import TrainOptions


def save_interval() -> float:
    """Return the seconds between two saves of the state: $LTDM_SAVE_SECONDS, or 60."""
    text = os.environ.get("LTDM_SAVE_SECONDS") or "60"
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
    elif options.warmup:
        rate = rate * min(update, options.warmup) / options.warmup
    return rate / math.sqrt(max(shown / options.falls_after, 1)) if options.falls_after else rate
