"""What the training of a network cost, from its record and history."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from ltdm.networks._per_class import build_network
from ltdm.networks._size import measure_network
from ltdm.plumbing.files import TABLE, explain_read_errors, read_json
from ltdm.training.setup import Recipe

RECORD = "record of ltdm"


class TrainingCost(NamedTuple):
    """The cost of a training."""

    forward_equivalents: float
    """In forward passes of one image through the network; NaN if it was not trained here."""
    hours: float
    """Of the device, and on several GPUs the sum of theirs; NaN if it was not trained here."""
    device: str
    """The devices in words, as the record has them."""


def read_training_cost(
    record: Path, history: Path, images: np.ndarray, classes: int
) -> TrainingCost:
    """Return the cost of a training, from run.json and history.csv.

    A backward pass counts as two forward passes; passes through the encoder or the decoder alone
    count by their share of the network's operations on `images`, (N, C, H, W), of `classes`.

    The record has the seconds since a training was last resumed; they stand for the steps before
    as well. Steps of the run that `train.init_from` names are not counted.

    Raises:
        LtdmError: A file is missing or damaged.
    """
    fields = read_json(record, RECORD)
    with explain_read_errors(record, RECORD):
        calls, spec = fields["evaluations_per_image"], fields["spec"]
        steps = float(fields["steps"])
        if not calls["forward"]:
            return TrainingCost(np.nan, np.nan, "")
        partial = calls["encoder"], calls["decoder"]
        share = _encoder_share(Recipe.from_spec(spec), images, classes) if any(partial) else 0.0
        halves = 3 * (share * partial[0] + (1 - share) * partial[1])
        per_image = calls["forward"] + 2 * calls["backward"] + halves
        where = [str(device) for device in fields["where"]]
        share_timed = 1 - fields.get("resumed_at", 0) / steps
        hours = fields["seconds"] / 3600 * _num_gpus(where[-1])
        hours = hours / share_timed if share_timed > 0 else np.nan
    with explain_read_errors(history, TABLE):
        last = pd.read_csv(history, dtype=float).iloc[-1]
        batch_size = float(last["images"] / last["step"])
    return TrainingCost(steps * batch_size * per_image, hours, "; ".join(where))


def _num_gpus(device: str) -> int:
    """Return the number of GPUs of a device in words, "2 x NVIDIA H100, bf16"; 1 for a CPU."""
    found = re.match(r"(\d+) x (?!cpu)", device)
    return int(found[1]) if found else 1


def _encoder_share(recipe: Recipe, images: np.ndarray, classes: int) -> float:
    """Return the encoder's share of the operations of a recipe's network."""
    channels, resolution = images.shape[1:3]
    role = recipe.objective([1] * classes).label_role(recipe.train.conditional)
    shape = channels, resolution, classes, recipe.train.augment_dim()
    with torch.device("meta"):
        net = build_network(recipe.network, role, *shape)
    size = measure_network(net, channels, resolution)
    return size.encoder_flops / size.flops
