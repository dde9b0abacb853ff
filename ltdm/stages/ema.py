"""Stored weight averages of a training (snapshots) -> the average of any other EMA width."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ltdm.core.weights import add_prefix, read_metadata, read_weights, write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, write_json
from ltdm.plumbing.request import to_record
from ltdm.training.posthoc import coefficients, gamma_of, profile_error
from ltdm.training.state import run_key

log = logging.getLogger("ltdm")


def run(
    request: dict[str, Any], *, model: Path, output: Path, record: Path | None
) -> dict[str, Any]:
    """Write the EMA weights that the training of `model` would have had with another width.

    `request` has `sigma_rel`, the width relative to the length of the training. `output` holds only
    "ema." weights.

    Returns:
        The contents of `record`: the request, the key of `model`, the average's own `key`, the
        relative L2 `error` of the averaging profile, and the `l1` norm of the coefficients, by
        which the half-precision rounding of the snapshots is amplified.

    Raises:
        LtdmError: The network has no snapshots, or no average has that width.
    """
    metadata = read_metadata(model)
    posthoc = metadata.pop("posthoc", None)
    if not posthoc:
        raise LtdmError(
            f"{model} holds no snapshots to average; set train.posthoc_ema in its run and train it"
            " again, or leave out ema_sigma_rel"
        )
    with explain_read_errors(model, "network of ltdm"):
        snapshots = [(width, step) for width in posthoc["sigma_rel"] for step in posthoc["steps"]]
        gammas, times = np.array([(gamma_of(width), step) for width, step in snapshots]).T
        target = times.max(), gamma_of(request["sigma_rel"])
        mix = coefficients(times, gammas, *target)
        identity = {**to_record(request), "model": metadata["key"]}
    error, norm = profile_error(mix, times, gammas, *target), float(np.abs(mix).sum())
    result = {**identity, "key": run_key(identity), "error": error, "l1": norm}
    summary = request["sigma_rel"], len(snapshots), describe(result)
    log.info("sigma_rel %g from %d snapshots: %s", *summary)
    weights = _mix_snapshots(model, dict(zip(snapshots, mix.tolist(), strict=True)))
    metadata |= {"key": result["key"], "average": result}
    write_weights(output, add_prefix("ema.", weights), metadata)
    if record:
        write_json(record, result)
    return result


def describe(result: dict[str, Any]) -> str:
    """Return the quality of an average in words, from the result of `run`."""
    return f"profile off by {result['error']:.2%}, coefficients of L1 norm {result['l1']:.2f}"


def _mix_snapshots(model: Path, mix: dict[tuple[float, int], float]) -> dict[str, Tensor]:
    """Return the weighted sum of snapshots, float32, with the buffers of the "ema." weights.

    `mix` maps a snapshot's width and training step to its coefficient. One snapshot at a time is in
    memory.
    """
    ema, _ = read_weights(model, "ema.")
    mixed: dict[str, Tensor] = {}
    for (width, step), coefficient in mix.items():
        snapshot, _ = read_weights(model, f"snapshot.{width:g}.{step}.")
        expected = mixed.keys() or snapshot.keys() & ema.keys()
        if not snapshot or snapshot.keys() != expected:
            raise LtdmError(
                f"{model} lacks weights of its snapshot after step {step}; delete it and train its"
                " run again"
            )
        for name, tensor in snapshot.items():
            mixed[name] = mixed.get(name, 0.0) + coefficient * tensor.float()
    return {**ema, **mixed}
