"""What the training of a network cost, from its record and history."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ltdm.plumbing.files import TABLE, explain_read_errors, read_json

RECORD = "record of ltdm"


class TrainingCost(NamedTuple):
    """The cost of a training; its numbers are NaN if the network was not trained here."""

    flops: float
    """Of the whole training; NaN too if this version of ltdm does not know the network's options.

    A multiply-add is two floating-point operations (FLOP).
    """
    pass_flops: float
    """Of a forward pass of one image through the network, or through its class's; NaN as `flops`.
    """
    hours: float
    """Of the device, and on several GPUs the sum of theirs."""
    device: str
    """The devices in words, as the record has them."""


def read_training_cost(
    record: Path, history: Path, shape: tuple[int, ...], classes: int
) -> TrainingCost:
    """Return the cost of a training, from run.json and history.csv.

    `shape` is that of one of its images, (C, H, W), of `classes`. Operations are counted as in
    `ltdm plan` (`NetworkSize.training_flops`).

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
            return TrainingCost(np.nan, np.nan, np.nan, "")
        from ltdm.training.sizes import recorded_size  # without a cost to count, no PyTorch

        size = recorded_size(record, spec, shape, classes)
        image_flops = size.training_flops(**calls)
        where = [str(device) for device in fields["where"]]
        share_timed = 1 - fields.get("resumed_at", 0) / steps
        hours = fields["seconds"] / 3600 * _num_gpus(where[-1])
        hours = hours / share_timed if share_timed > 0 else np.nan
    with explain_read_errors(history, TABLE):
        last = pd.read_csv(history, dtype=float).iloc[-1]
        batch_size = float(last["images"] / last["step"])
    return TrainingCost(steps * batch_size * image_flops, size.flops, hours, "; ".join(where))


def _num_gpus(device: str) -> int:
    """Return the number of GPUs of a device in words, "2 x NVIDIA H100, bf16"; 1 for a CPU."""
    found = re.match(r"(\d+) x (?!cpu)", device)
    return int(found[1]) if found else 1
