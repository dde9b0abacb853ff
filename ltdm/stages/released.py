"""A checkpoint that others released -> a network, in the form that training gives."""

import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ltdm.core.weights import write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, read_npz, sha256, write_json, writing
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.registry import part, stage_code
from ltdm.training.released import Released, content, read
from ltdm.training.state import run_key

HISTORY = ("update", "images", "lr", "denoise", "loss", "grad_norm")


def run(spec: dict[str, Any], seed: int, checkpoint: Path, *, data: Path, model: Path,
        history: Path, record: Path) -> None:  # fmt: skip
    """Take the network of a run from a checkpoint.

    Args:
        spec: `network` and `process` as in the config, and the `content` of the checkpoint.
        seed: The run's; it decides nothing yet, but images are drawn by it.
        checkpoint: The file.
        data: train.npz, for the size of the images and the number of classes.
        model: Where the weights go: averaged ("ema.") and last ("raw."), those that there are.
        history: Where a history without rows goes.
        record: Where run.json goes: what was taken from where, by what.

    Raises:
        LtdmError: The checkpoint is not the one that the config was checked with, or is bad.
    """
    checkpoint, started = Path(checkpoint), time.monotonic()
    if content(checkpoint) != spec["content"]:
        raise LtdmError(f"{checkpoint} changed since this began; run the command again")
    held, by = read(checkpoint), {"versions": versions(), "commit": commit()}
    who = {**identity(spec, seed, data), "checkpoint": sha256(checkpoint)}
    images, labels = read_npz(data, "images", "labels")
    about = {
        "network": spec["network"], "process": spec["process"], "size": images.shape[2],
        "classes": int(labels.max()) + 1, "key": run_key(who),
    }  # fmt: skip
    write(model, checkpoint, held, about)
    with writing(history) as temporary:
        pd.DataFrame(columns=HISTORY).to_csv(temporary, index=False)
    write_json(record, {
        **who, "key": about["key"], **by, "weights": sorted(held.weights),
        "parameters": held.parameters, "updates": held.updates,
        "evaluations_per_image": {"forward": 0, "backward": 0, "encoder": 0},
        "seconds": round(time.monotonic() - started, 1),
    })  # fmt: skip


def identity(spec: dict[str, Any], seed: int, data: Path) -> dict[str, Any]:
    """Return what decides the result, but for the file's own digest: it may be gone."""
    parts = [part(kind, spec[kind], (kind,)) for kind in ("network", "process")]
    code = stage_code("released", *parts)
    return {"spec": spec, "seed": seed, "code": code, "data": sha256(data)}


def finished(spec: dict[str, Any], seed: int, data: Path, folder: Path) -> bool:
    """Whether `folder` holds exactly this network; the checkpoint is not asked for."""
    names = ("run.json", "model.safetensors", "history.csv")
    if not all((folder / name).exists() for name in names):
        return False
    wanted = identity(spec, seed, data).items()
    return wanted <= read_json(folder / "run.json").items()


def write(model: Path, checkpoint: Path, held: Released, about: dict[str, Any]) -> None:
    """Write what a checkpoint holds, with what sampling must know of it.

    Raises:
        LtdmError: Weights are not finite.
    """
    tensors = {f"{k}.{name}": t for k, own in held.weights.items() for name, t in own.items()}
    bad = [name for name, t in tensors.items() if not torch.isfinite(t).all()]
    if bad:
        raise LtdmError(
            f"{checkpoint} holds values that are not finite ({bad[0]}): its training diverged; take"
            " an earlier one"
        )
    images = {"channels": held.shape.channels, "points": False}
    told = {"told": held.shape.told, "label": held.label}
    write_weights(model, tensors, {**about, **images, **told})
