"""Long-tailed training set -> one network, trained by itself by one process or by several."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.core.device import device_name, pick_device
from ltdm.core.weights import add_prefix, write_weights
from ltdm.plumbing.files import read_npz, write_json, write_text
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.stopping import StopRequest
from ltdm.training.distributed import available, launch
from ltdm.training.loop import Trainer
from ltdm.training.setup import Recipe, described, make_trainer, start_from
from ltdm.training.state import Files, State

log = logging.getLogger("ltdm")
WORKER = "ltdm.stages.worker"
"""The module that is one of several processes of a training."""


def train(recipe: Recipe, who: dict[str, Any], files: Files, stop: StopRequest) -> None:
    """Train one network by as many processes as are asked for and can run here; see `fit`.

    It raises what `stages.train.run` does, and LtdmError where they cannot share out a batch.
    """
    processes = _processes(recipe, files.data)
    if processes > 1:
        told = [file and str(file) for file in files]
        launch(processes, WORKER, {"who": who, "files": told}, stop)
    else:
        fit(recipe, who, files, stop)


def _processes(recipe: Recipe, data: Path) -> int:
    """Return how many processes train: as many as asked for, or as there are GPUs."""
    gpus = recipe.train.gpus
    if gpus == 1:
        return 1
    (labels,) = read_npz(data, "labels")
    counts, here = np.bincount(labels).tolist(), available(gpus)
    by_class = recipe.objective(counts).by_class
    recipe.train.check_processes(here, len(counts) if by_class else 0)
    if here < gpus:
        log.info("train.gpus is %d, but only %d are here: training on those", gpus, here)
    return here


def fit(recipe: Recipe, who: dict[str, Any], files: Files, stop: StopRequest | None) -> None:
    """Train one network, as one of the processes that do, of which the first writes.

    `who` is what decides its result: the request, and what the data and the start are. `stop` is
    asked after each update whether the work must end, and None in all processes but the first.
    """
    state, started = files.state(who), time.monotonic()
    by = {"versions": versions(), "commit": commit()}
    images, labels = read_npz(files.data, "images", "labels")
    trainer = make_trainer(recipe, who["seed"], images, labels, pick_device())
    where = _begun(trainer, state, files.init)
    first = trainer.update
    if not trainer.share.leads:
        trainer.fit(lambda content: None)
        return

    def save(content: dict[str, Any]) -> None:
        state.save({**content, "where": where})

    trainer.fit(save, stop=stop, progress=state.progress, keep=state.keep)
    _write(files.model, recipe, trainer, state)
    write_text(files.history, pd.DataFrame(trainer.history).to_csv(index=False))
    made = {
        "where": where,
        "parameters": sum(p.numel() for p in trainer.net.parameters()),
        "updates": trainer.update,
        "evaluations_per_image": trainer.counted(),
        "resumed_at": first,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(files.record, {**who, "key": state.key, **by, **made})


def _begun(trainer: Trainer, state: State, init: Path | None) -> list[str]:
    """Put a trainer where its run stands; return where that has been trained, here last.

    Raises:
        LtdmError: The state, or a snapshot beside it, is lost or damaged; `init` is bad.
    """
    here = f"{device_name(trainer.device)}, {trainer.predict.precision}"
    if trainer.share.world > 1:
        here = f"{trainer.share.world} x {here}"
    saved = state.load(trainer.device)
    if not saved:
        if init:
            start_from(trainer, init)
        return [here]
    state.check_kept([update for update in _taken(trainer) if update <= saved["update"]])
    trainer.resume(saved)
    log.info("resuming at update %d", trainer.update)
    before: list[str] = saved["where"]
    return before if before[-1] == here else [*before, here]


def _taken(trainer: Trainer) -> list[int]:
    """Return the updates after which snapshots are taken."""
    return trainer.options.posthoc_ema.at(trainer.until) if trainer.options.posthoc_ema else []


def _write(model: Path, recipe: Recipe, trainer: Trainer, state: State) -> None:
    """Write the network, with the snapshots that were taken of it."""
    about = {**described(recipe, trainer), "key": state.key}
    tensors = add_prefix("ema.", trainer.ema.state_dict())
    tensors |= add_prefix("last.", trainer.net.state_dict())
    if recipe.train.posthoc_ema:
        widths, taken = list(recipe.train.posthoc_ema.sigma_rel), _taken(trainer)
        about["posthoc"] = {"sigma_rel": widths, "updates": taken}
        tensors |= state.kept(taken)
    write_weights(model, tensors, about)
