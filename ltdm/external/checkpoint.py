"""A released checkpoint -> a file of ours, and words on what it is: `ltdm import`."""

from pathlib import Path
from typing import Any

import yaml

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256
from ltdm.plumbing.option_values import to_config
from ltdm.plumbing.registry import stage_digest
from ltdm.stages.released import write
from ltdm.training.released import DECIDED, Released, read
from ltdm.training.state import run_key


def convert(checkpoint: Path, model: Path, resolution: int) -> Released:
    """Write the network of a checkpoint for square images; return what it is.

    The images have a side of `resolution` pixels. An unconditional network counts as one of a
    single class.

    Raises:
        LtdmError: The checkpoint is bad, or the side cannot be halved as often as the network does.
    """
    held = read(checkpoint)
    halvings = len(held.shape.options.ch_mult) - 1
    if resolution % 2**halvings:
        raise LtdmError(
            f"the network of {checkpoint} halves its images {halvings} times, so --resolution must"
            f" be a multiple of {2**halvings}, not {resolution}"
        )
    about = {
        "network": held.network.to_config(), "process": held.process.to_config(),
        "size": resolution,
        "classes": held.shape.classes or 1,
    }  # fmt: skip
    source = {"checkpoint": sha256(checkpoint), "code": stage_digest("released")}
    write(model, checkpoint, held, {**about, "key": run_key({**about, **source})})
    return held


def text(checkpoint: Path, held: Released) -> str:
    """Say in a few lines what a checkpoint holds, and what a run that uses it looks like."""
    shape, options = held.shape, held.network.options
    train: dict[str, Any] = {"import_checkpoint": str(checkpoint)}
    train |= {} if shape.classes else {"label_dropout": 1}
    train |= {"augment": "ada"} if shape.told else {}
    sample: dict[str, Any] = {} if shape.classes else {"guidance": 0}
    sample |= {} if "ema" in held.weights else {"weights": "last"}
    run = {
        "network": {"name": "unet", **{k: to_config(getattr(options, k)) for k in DECIDED}},
        "process": {"name": "vp", "T": shape.levels}, "train": train,
        **({"sample": sample} if sample else {}),
    }  # fmt: skip
    lines = [
        f"{held.parameters / 1e6:.4g} M weights ({' and '.join(sorted(held.weights))}),"
        f" {shape.classes or 'no'} classes, {shape.channels} channels,"
        f" {held.updates or 'an unknown number of'} updates.",
        f"Left out: {', '.join(held.left_out) or 'nothing'}.",
        "The file does not say its betas (taken: vp's defaults), nor whether labels were hidden in"
        " training (train.label_dropout), which guidance needs.",
        "A run of a config that uses it:",
        yaml.safe_dump({"runs": {"released": run}}, sort_keys=False, default_flow_style=None),
    ]
    return "\n".join(lines).rstrip()
