"""A released checkpoint -> a model file of ltdm and its description: `ltdm import`."""

from pathlib import Path
from typing import Any

import yaml

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256
from ltdm.plumbing.option_values import to_config
from ltdm.plumbing.registry import stage_digest
from ltdm.stages.released import write_model
from ltdm.training.released import WEIGHT_OPTIONS, ReleasedCheckpoint, read_checkpoint
from ltdm.training.state import run_key


def convert(checkpoint: Path, model: Path, resolution: int) -> ReleasedCheckpoint:
    """Write the network of a checkpoint to the file `model`; return the contents of the checkpoint.

    The network is for square images with a side of `resolution` pixels. An unconditional network is
    written as one of a single class.

    Raises:
        LtdmError: The checkpoint is bad, or the resolution is not divisible as often as the network
            halves it.
    """
    contents = read_checkpoint(checkpoint)
    halvings = len(contents.shape.options.ch_mult) - 1
    if resolution % 2**halvings:
        raise LtdmError(
            f"the network of {checkpoint} halves its images {halvings} times, so --resolution must"
            f" be a multiple of {2**halvings}, not {resolution}"
        )
    metadata = {
        "network": contents.network.to_config(),
        "process": contents.process.to_config(),
        "size": resolution,
        "classes": contents.shape.classes or 1,
    }
    source = {"checkpoint": sha256(checkpoint), "code": stage_digest("released")}
    write_model(model, checkpoint, contents, {**metadata, "key": run_key({**metadata, **source})})
    return contents


def describe(checkpoint: Path, contents: ReleasedCheckpoint) -> str:
    """Return a few lines on the `contents` of a checkpoint, with a run of a config that uses it."""
    shape = contents.shape
    run = yaml.safe_dump(
        {"runs": {"released": _example_run(checkpoint, contents)}},
        sort_keys=False,
        default_flow_style=None,
    )
    return (
        f"{contents.num_parameters / 1e6:.4g} M weights ({' and '.join(sorted(contents.weights))}),"
        f" {shape.classes or 'no'} classes, {shape.channels} channels,"
        f" {contents.steps or 'an unknown number of'} training steps.\n"
        f"Left out: {', '.join(contents.unread_keys) or 'nothing'}.\n"
        f"{_table_text(contents.table_drift)}"
        "The file does not contain its betas (assumed: the defaults of vp), nor whether the network"
        " was trained with label dropout (train.label_dropout), which guidance needs.\n"
        f"A run of a config that uses it:\n{run}"
    ).rstrip()


def _table_text(drift: float) -> str:
    """Return the line on a time table that is not the formula's; nothing without one."""
    if not drift:
        return ""
    return (
        f"Its table of the time embedding differs from the formula by up to {drift:.1e}, as it is"
        " averaged with the weights, and is used as it is in the file.\n"
    )


def _example_run(checkpoint: Path, contents: ReleasedCheckpoint) -> dict[str, Any]:
    """Return the config of a run with the checkpoint's network."""
    shape, options = contents.shape, contents.network.options
    train: dict[str, Any] = {"import_checkpoint": str(checkpoint)}
    sample: dict[str, Any] = {}
    if not shape.classes:
        train["label_dropout"] = 1
        sample["guidance"] = 0
    if shape.augment_dim:
        train["augment"] = "ada"
    if "ema" not in contents.weights:
        sample["weights"] = "last"
    run = {
        "network": {
            "name": "unet",
            **{key: to_config(getattr(options, key)) for key in WEIGHT_OPTIONS},
        },
        "process": {"name": "vp", "T": shape.timesteps},
        "train": train,
    }
    return {**run, "sample": sample} if sample else run
