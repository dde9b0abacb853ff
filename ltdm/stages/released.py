"""A checkpoint that others released -> a network, in the form that training gives."""

import time
from pathlib import Path
from typing import Any

import torch

from ltdm.core.weights import write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, sha256, write_json, write_text
from ltdm.plumbing.provenance import commit, versions
from ltdm.training.released import ReleasedCheckpoint, archive_digest, read_checkpoint
from ltdm.training.state import Files, run_key

HISTORY = ("update", "images", "lr", "denoise", "loss", "grad_norm")


def import_checkpoint(who: dict[str, Any], checkpoint: Path, files: Files) -> None:
    """Take the network of a run from a checkpoint; its history has no rows.

    `who` is what decides the result: a request whose `spec` is `network`, `process` and the
    `content` of the checkpoint, and the digest of the data. The seed decides nothing yet, but
    images are drawn by it. Of the data the size of the images and the number of classes are used.

    Raises:
        LtdmError: The checkpoint is not the one that the config was checked with, or is bad.
    """
    started, spec = time.monotonic(), who["spec"]
    if archive_digest(checkpoint) != spec["content"]:
        raise LtdmError(f"{checkpoint} changed since this began; run the command again")
    held, by = read_checkpoint(checkpoint), {"versions": versions(), "commit": commit()}
    who = {**who, "checkpoint": sha256(checkpoint)}
    images, labels = read_npz(files.data, "images", "labels")
    about = {k: spec[k] for k in ("network", "process")} | {"key": run_key(who)}
    about |= {"size": images.shape[2], "classes": int(labels.max()) + 1}
    write_model(files.model, checkpoint, held, about)
    write_text(files.history, ",".join(HISTORY) + "\n")
    told = {
        "weights": sorted(held.weights),
        "parameters": held.num_parameters,
        "updates": held.steps,
        "evaluations_per_image": {"forward": 0, "backward": 0, "encoder": 0},
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(files.record, {**who, "key": about["key"], **by, **told})


def write_model(
    model: Path, checkpoint: Path, held: ReleasedCheckpoint, about: dict[str, Any]
) -> None:
    """Write what a checkpoint holds, with what sampling must know of it; weights must be finite."""
    tensors = {f"{kind}.{name}": t for kind, own in held.weights.items() for name, t in own.items()}
    bad = [name for name, t in tensors.items() if not torch.isfinite(t).all()]
    if bad:
        raise LtdmError(
            f"{checkpoint} holds values that are not finite ({bad[0]}): its training diverged; take"
            " an earlier one"
        )
    known = {
        "channels": held.shape.channels,
        "told": held.shape.augment_dim,
        "label": held.label_role,
    }
    write_weights(model, tensors, {**about, **known, "points": False})
