"""The size of a network that was trained, from its record's spec."""

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltdm.networks._per_class import build_network
from ltdm.networks._size import NetworkSize, measure_network
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import Part
from ltdm.training.setup import Recipe

log = logging.getLogger("ltdm")


def recorded_size(
    record: Path, spec: Mapping[str, Any], shape: tuple[int, ...], classes: int
) -> NetworkSize:
    """Return the size of the network of a spec; of an unknown one NaN, with a warning."""
    try:
        recipe = Recipe.from_spec(spec)
        role = recipe.objective([1] * classes).label_role(recipe.train.conditional)
    except OptionError as error:  # a compared folder may be of another version
        log.warning("%s: %s; without its options its cost is left out", record, error)
        return NetworkSize(0, np.nan, np.nan)
    channels, resolution, *_ = shape
    return _measure(recipe.network, role, channels, resolution, classes, recipe.train.augment_dim())


@cache  # a second or less each, and the seeds of a run have the same network
def _measure(
    network: Part, role: str, channels: int, resolution: int, classes: int, augment_dim: int
) -> NetworkSize:
    with torch.device("meta"):
        net = build_network(network, role, channels, resolution, classes, augment_dim)
    return measure_network(net, channels, resolution)
