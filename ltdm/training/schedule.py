"""Schedules of training: the learning rate of a step, and the interval between saves."""

import math

from ltdm.plumbing.environment import SAVE_SECONDS, seconds
from ltdm.training.options import TrainOptions

MIN_SAVE_SECONDS, SAVE_COST_FACTOR = 60.0, 30
"""Lower bounds of the interval between two saves of the state: in seconds, and as a multiple of the
duration of a save, which for gigabytes is a quarter of a minute."""


def save_interval(save_cost: float = 0.0) -> float:
    """Return the seconds between a save of the state, which took `save_cost`, and the next.

    $LTDM_SAVE_SECONDS overrides it; LtdmError is raised if that is no number.
    """
    chosen = seconds(SAVE_SECONDS)
    return max(MIN_SAVE_SECONDS, SAVE_COST_FACTOR * save_cost) if chosen is None else chosen


def learning_rate(options: TrainOptions, step: int, batch_size: int) -> float:
    """Return the learning rate of a training step: a rise from 0, then constant or falling.

    Steps count from 0. With a warm-up, the first step has rate 0, as in the released codes.
    Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
    2024, equation 67.
    """
    images, lr = step * batch_size, options.lr
    if options.warmup_images:
        lr = lr * min(images, options.warmup_images) / options.warmup_images
    elif options.warmup_steps:
        lr = lr * min(step, options.warmup_steps) / options.warmup_steps
    if options.lr_decay_images:
        lr = lr / math.sqrt(max(images / options.lr_decay_images, 1))
    return lr
