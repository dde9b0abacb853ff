"""Long-tailed training set -> one network, trained by one process or by several."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.core.device import device_name, pick_device
from ltdm.core.image_files import read_image_file
from ltdm.core.weights import add_prefix, write_weights
from ltdm.plumbing.files import explain_read_errors, read_npz, write_json, write_text
from ltdm.plumbing.option_values import locations
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.stopping import StopRequest
from ltdm.training.distributed import available_processes, launch
from ltdm.training.live import LiveView
from ltdm.training.loop import Trainer
from ltdm.training.setup import Recipe, init_trainer, make_trainer, model_metadata
from ltdm.training.state import Files, State, explain_state_errors

log = logging.getLogger("ltdm")
WORKER = "ltdm.stages.worker"
"""The module that each of several training processes runs."""


def train(recipe: Recipe, identity: dict[str, Any], files: Files, stop: StopRequest) -> None:
    """Train one network by the requested processes, or as many as can run here; see `fit`.

    It raises what `stages.train.run` does, and LtdmError if the processes do not divide the batch.
    """
    processes = _num_processes(recipe, files.data)
    if processes > 1:
        paths = [file and str(file) for file in files]
        places = locations(recipe.train)
        launch(processes, WORKER, {"identity": identity, "places": places, "files": paths}, stop)
    else:
        fit(recipe, identity, files, stop)


def _num_processes(recipe: Recipe, data: Path) -> int:
    """Return the number of training processes: as requested, or that of the GPUs if smaller."""
    gpus = recipe.train.gpus
    if gpus == 1:
        return 1
    (labels,) = read_npz(data, "labels")  # alone: the processes read the images
    with explain_read_errors(data, "file of images"):
        class_counts = np.bincount(labels).tolist()
    available = available_processes(gpus)
    class_blocks = recipe.objective(class_counts).class_blocks
    recipe.train.check_processes(available, len(class_counts) if class_blocks else 0)
    if available < gpus:
        log.info("train.gpus is %d, but only %d are available: using those", gpus, available)
    return available


def fit(recipe: Recipe, identity: dict[str, Any], files: Files, stop: StopRequest | None) -> None:
    """Train one network in this process, the only one or one of several; the first writes files.

    `identity` decides the result: the request, and digests of the data and of the network that it
    starts from. `stop` is checked after each step; it is None in all processes but the first.
    """
    state, started = files.state(identity), time.monotonic()
    provenance = {"versions": versions(), "commit": commit()}
    images, labels, *_ = read_image_file(files.data)
    trainer = make_trainer(recipe, identity["seed"], images, labels, pick_device())
    devices = _start_or_resume(trainer, state, files.init)
    first_step = trainer.step_count
    if not trainer.rank_share.is_main:
        trainer.fit(lambda content: None)
        return

    def save(content: dict[str, Any]) -> None:
        state.save({**content, "where": devices})

    metadata = model_metadata(recipe, trainer)
    view = LiveView(files.model.parent, state.key, trainer, metadata, identity["seed"])
    trainer.fit(
        save,
        stop=stop,
        progress_file=state.progress,
        save_snapshot=state.save_snapshot,
        after_step=view.after_step,
    )
    _write_model(files.model, recipe, trainer, state)
    write_text(files.history, pd.DataFrame(trainer.history).to_csv(index=False))
    result = {
        "where": devices,
        "parameters": sum(p.numel() for p in trainer.net.parameters()),
        "steps": trainer.step_count,
        "evaluations_per_image": trainer.calls_per_image(),
        "resumed_at": first_step,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(files.record, {**identity, "key": state.key, **provenance, **result})


def _start_or_resume(trainer: Trainer, state: State, init: Path | None) -> list[str]:
    """Start or resume a run; return the devices that have trained it, in words, this one last.

    A run that has no state starts from the weights of the file `init`, or else afresh.

    Raises:
        LtdmError: The state, or a snapshot beside it, is lost or damaged; `init` is bad.
    """
    device = f"{device_name(trainer.device)}, {trainer.predict.precision}"
    if trainer.rank_share.world > 1:
        device = f"{trainer.rank_share.world} x {device}"
    content = state.load(trainer.device)
    if not content:
        if init:
            init_trainer(trainer, init)
        return [device]
    with explain_state_errors(state.file):
        steps = trainer.snapshot_steps()
        state.check_snapshots([step for step in steps if step <= content["step"]])
        trainer.resume(content)
        devices = list(content["where"])
    log.info("resuming at step %d", trainer.step_count)
    return devices if devices[-1:] == [device] else [*devices, device]


def _write_model(model: Path, recipe: Recipe, trainer: Trainer, state: State) -> None:
    """Write the network with its snapshots."""
    metadata = {**model_metadata(recipe, trainer), "key": state.key}
    tensors = add_prefix("ema.", trainer.ema.state_dict())
    tensors |= add_prefix("last.", trainer.net.state_dict())
    if recipe.train.posthoc_ema:
        widths, steps = list(recipe.train.posthoc_ema.sigma_rel), trainer.snapshot_steps()
        metadata["posthoc"] = {"sigma_rel": widths, "steps": steps}
        tensors |= state.load_snapshots(steps)
    write_weights(model, tensors, metadata)
