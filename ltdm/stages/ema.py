"""Snapshots that a training took of its weights' averages -> the average of any other width."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ltdm.core.weights import prefixed, read_about, read_weights, write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.request import recorded
from ltdm.training.posthoc import coefficients, gamma_of, profile_error
from ltdm.training.state import run_key

log = logging.getLogger("ltdm")


def run(
    request: dict[str, Any], *, model: Path, output: Path, record: Path | None
) -> dict[str, Any]:
    """Write the averaged weights that a training would have had with another width; "ema." alone.

    `request` has `sigma_rel`, the width relative to the training's length.

    Returns:
        What the record holds: the request, the key of the trained `model`, the average's own `key`,
        the relative L2 `error` of the averaging profile, and the `l1` norm of the coefficients:
        rounding to half precision, of each snapshot, comes back as often.

    Raises:
        LtdmError: The network has no snapshots, or no average has that width.
    """
    about = read_about(model)
    taken = about.pop("posthoc", None)
    if not taken:
        raise LtdmError(
            f"{model} holds no snapshots to make averages from; set train.posthoc_ema in its run"
            " and train it, or leave out ema_sigma_rel"
        )
    which = [(width, update) for width in taken["sigma_rel"] for update in taken["updates"]]
    gammas, times = np.array([(gamma_of(width), update) for width, update in which]).T
    wanted = times.max(), gamma_of(request["sigma_rel"])
    mix = coefficients(times, gammas, *wanted)
    who = {**recorded(request), "model": about["key"]}
    error, norm = profile_error(mix, times, gammas, *wanted), float(np.abs(mix).sum())
    made = {**who, "key": run_key(who), "error": error, "l1": norm}
    log.info("sigma_rel %g from %d snapshots: %s", request["sigma_rel"], len(which), told(made))
    weights = _mixed(model, dict(zip(which, mix.tolist(), strict=True)))
    about |= {"key": made["key"], "average": made}
    write_weights(output, prefixed("ema.", weights), about)
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
