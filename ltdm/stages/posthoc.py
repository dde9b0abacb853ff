"""Snapshots that a training took of its weights' averages -> the average of any other width."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ltdm.core.weights import read_about, read_weights, write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.registry import stage_code
from ltdm.training.posthoc import coefficients, gamma_of, profile_error
from ltdm.training.state import run_key

log = logging.getLogger("ltdm")


def run(
    sigma_rel: float, *, model: Path, output: Path, record: Path | None = None
) -> dict[str, Any]:
    """Write the averaged weights that a training would have had with another width.

    Args:
        sigma_rel: The width, relative to the training's length.
        model: The network's safetensors, with snapshots.
        output: Where the network goes, "ema." alone, safetensors.
        record: Where a record of it goes.

    Returns:
        What the record holds: `sigma_rel`, the key `of` the training, the `code`, the network's
        own `key`, the relative L2 `error` of the averaging profile, and the `l1` norm of the
        coefficients: rounding to half precision, of each snapshot, comes back as often.

    Raises:
        LtdmError: The network has no snapshots, is damaged, or no average has that width.
    """
    about = read_about(model)
    taken = about.pop("posthoc", None)
    if not taken:
        raise LtdmError(
            f"{model} holds no snapshots to make averages from; set train.posthoc in its run and"
            " train it, or leave out sigma_rel"
        )
    which = [(width, update) for width in taken["sigma_rel"] for update in taken["updates"]]
    gammas, times = np.array([(gamma_of(width), update) for width, update in which]).T
    wanted = times.max(), gamma_of(sigma_rel)
    mix = coefficients(times, gammas, *wanted)
    who = {"sigma_rel": sigma_rel, "of": about["key"], "code": stage_code("posthoc")}
    error, norm = profile_error(mix, times, gammas, *wanted), float(np.abs(mix).sum())
    made = {**who, "key": run_key(who), "error": error, "l1": norm}
    log.info("sigma_rel %g from %d snapshots: %s", sigma_rel, len(which), told(made))
    weights = _mixed(model, dict(zip(which, mix.tolist(), strict=True)))
    tensors = {f"ema.{name}": tensor for name, tensor in weights.items()}
    write_weights(output, tensors, {**about, "key": made["key"], "average": made})
    if record:
        write_json(record, made)
    return made


def told(made: dict[str, Any]) -> str:
    """Say how good a reconstruction is."""
    return f"profile off by {made['error']:.2%}, coefficients of L1 norm {made['l1']:.2f}"


def _mixed(model: Path, mix: dict[tuple[float, int], float]) -> dict[str, Tensor]:
    """Return a mix of snapshots, float32, and the buffers; one snapshot is read after the other."""
    held, _ = read_weights(model, "ema.")
    mixed: dict[str, Tensor] = {}
    for (width, update), share in mix.items():
        snapshot, _ = read_weights(model, f"snapshot.{width:g}.{update}.")
        expected = mixed.keys() or snapshot.keys() & held.keys()
        if not snapshot or snapshot.keys() != expected:
            raise LtdmError(
                f"{model} lacks weights of its snapshot after update {update}; delete it and train"
                " its run again"
            )
        for name, tensor in snapshot.items():
            mixed[name] = mixed.get(name, 0.0) + share * tensor.float()
    return {**held, **mixed}
