"""A released checkpoint -> a network, in the files that training writes."""

import time
from pathlib import Path
from typing import Any

import torch

from ltdm.core.image_files import read_image_file
from ltdm.core.weights import write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256, write_json, write_text
from ltdm.plumbing.provenance import commit, versions
from ltdm.training.foreign_files import archive_digest, check_sums
from ltdm.training.released import ReleasedCheckpoint, read_checkpoint
from ltdm.training.state import Files, run_key

HISTORY = ("step", "images", "lr", "denoise", "loss", "grad_norm")


def import_checkpoint(identity: dict[str, Any], checkpoint: Path, files: Files) -> None:
    """Write a run's network from a checkpoint; its history has no rows.

    `identity` decides the result: a request whose `spec` is `network`, `process` and the `content`
    of the checkpoint, and the digest of the data. The seed decides nothing here, but images are
    sampled with it. Of the data only the images' size and the number of classes are used.

    Raises:
        LtdmError: The checkpoint is bad, or changed since the config was checked.
    """
    started, spec = time.monotonic(), identity["spec"]
    if archive_digest(checkpoint) != spec["content"]:
        raise LtdmError(f"{checkpoint} changed since this command started; run it again")
    released = read_checkpoint(checkpoint)
    provenance = {"versions": versions(), "commit": commit()}
    identity = {**identity, "checkpoint": sha256(checkpoint)}
    images, labels, *_ = read_image_file(files.data)
    metadata = {k: spec[k] for k in ("network", "process")} | {"key": run_key(identity)}
    metadata |= {"size": images.shape[2], "classes": int(labels.max()) + 1}
    write_model(files.model, checkpoint, released, metadata)
    write_text(files.history, ",".join(HISTORY) + "\n")
    result = {
        "weights": sorted(released.weights),
        "parameters": released.num_parameters,
        "steps": released.steps,
        "evaluations_per_image": {"forward": 0, "backward": 0, "encoder": 0, "decoder": 0},
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(files.record, {**identity, "key": metadata["key"], **provenance, **result})


def write_model(
    model: Path, checkpoint: Path, released: ReleasedCheckpoint, metadata: dict[str, Any]
) -> None:
    """Write a checkpoint's weights with the metadata for sampling.

    Raises:
        LtdmError: The file's checksums do not fit, or not all weights are finite.
    """
    check_sums(checkpoint)
    tensors = {  # cloned, since sets may share memory, which safetensors refuses
        f"{kind}.{name}": tensor.clone()
        for kind, weights in released.weights.items()
        for name, tensor in weights.items()
    }
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise LtdmError(
            f"{checkpoint} holds values that are not finite ({bad[0]}): its training diverged; take"
            " an earlier checkpoint"
        )
    shape = released.shape
    inferred = {
        "channels": shape.channels,
        "augment_dim": shape.augment_dim,
        "label": released.label_role,
    }
    write_weights(model, tensors, {**metadata, **inferred, "points": False})
