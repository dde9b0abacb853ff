"""Long-tailed training set -> one trained network."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ltdm.core.device import device_name, pick
from ltdm.core.seeding import derive, owners
from ltdm.core.weights import read_about, read_weights, write_weights
from ltdm.methods._objective import compose
from ltdm.networks._players import Players, build_network
from ltdm.networks._predictor import Share
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, read_npz, sha256, write_json, writing
from ltdm.plumbing.options import parse
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.registry import PARTS, Part, parts, stage_code
from ltdm.plumbing.stopping import Stop, listening
from ltdm.training.batches import Batches
from ltdm.training.distributed import available, launch
from ltdm.training.loop import Trainer
from ltdm.training.options import TrainOptions
from ltdm.training.state import State, run_key

log = logging.getLogger("ltdm")
WORKER = "ltdm.stages.worker"
"""The module that is one of several processes of a training."""


def run(spec: dict[str, Any], seed: int, *, data: Path, model: Path, history: Path,
        record: Path, init: Path | None = None, gpus: int = 1) -> None:  # fmt: skip
    """Train one network, going on from the saved state where there is one.

    Args:
        spec: `network`, `process`, `method` (one or a list) and `train` options, as in the config.
        seed: Owner of all draws.
        data: train.npz.
        model: Where the weights go: averaged ("ema.") and last ("raw."), safetensors.
        history: Where the losses go, a row every `train.log_every` updates.
        record: Where run.json goes: what was run, on what, by what.
        init: The network of the run that `train.init_from` names.
        gpus: Processes that train together, each on a GPU where there is one.

    Raises:
        LtdmError: Bad options or data, divergence, a state of another run, a full disk, another
            process that trains it.
        Stopped: The job must end before the training has; its state is saved.
    """
    who = identity(spec, seed, data, init)
    state = State(Path(model).parent / "state", run_key(who))
    files: dict[str, Any] = {
        "data": data, "model": model, "history": history, "record": record, "init": init,
    }  # fmt: skip
    with listening() as stop, state.alone():
        if made(who, model, history, record):
            log.info("another job has finished this network in the meantime")
        elif (processes := _processes(spec, data, gpus)) > 1:
            told = {name: path and str(path) for name, path in files.items()}
            launch(processes, WORKER, {"who": who, **told}, stop)
        else:
            fit(stop, who, **files)
        state.clear()


def _processes(spec: dict[str, Any], data: Path, gpus: int) -> int:
    """Return how many processes train: as many as asked for, or as there are GPUs."""
    if gpus == 1:
        return 1
    (labels,) = read_npz(data, "labels")
    counts, here = np.bincount(labels).tolist(), available(gpus)
    _, _, *methods = _parts(spec)
    by_class = compose(methods, counts).by_class
    options = parse(TrainOptions, {**spec["train"], "gpus": gpus}, ("train",))
    options.check_processes(here, len(counts) if by_class else 0)
    if here < gpus:
        log.info("train.gpus is %d, but only %d are here: training on those", gpus, here)
    return here


def fit(stop: Stop | None, who: dict[str, Any], *, data: Path, model: Path, history: Path,
        record: Path, init: Path | None) -> None:  # fmt: skip
    """Train one network, as one of the processes that do, of which the first writes.

    Args:
        stop: Asked after each update whether the work must end; None in all but the first.
        who: What `identity` says of the run.
        data: As for `run`, and so the others.
        model: Where the weights go.
        history: Where the losses go.
        record: Where run.json goes.
        init: The network to start from.
    """
    state, share = State(Path(model).parent / "state", run_key(who)), Share.here()
    device, started, by = pick(), time.monotonic(), {"versions": versions(), "commit": commit()}
    images, labels = read_npz(data, "images", "labels")
    trainer = make_trainer(who["spec"], who["seed"], images, labels, device)
    each = f"{device_name(device)}, {trainer.predict.precision}"
    where = [f"{share.world} x {each}" if share.world > 1 else each]
    saved = state.load(device)
    if init and not saved:
        start_from(trainer, init)
    posthoc = trainer.options.posthoc
    taken = posthoc.at(trainer.until) if posthoc else []
    if saved:
        state.check_kept([update for update in taken if update <= saved["update"]])
        trainer.resume(saved)
        where = saved["where"] + [w for w in where if w != saved["where"][-1]]
        log.info("resuming at update %d", trainer.update)
    first = trainer.update
    if not share.leads:
        trainer.fit(lambda content: None)
        return
    trainer.fit(lambda content: state.save({**content, "where": where}), stop=stop,
                progress=state.progress, keep=state.keep)  # fmt: skip
    about = {**described(who["spec"], trainer), "key": state.key}
    tensors = {f"ema.{k}": v for k, v in trainer.ema.state_dict().items()}
    tensors |= {f"raw.{k}": v for k, v in trainer.net.state_dict().items()}
    if posthoc:
        about["posthoc"] = {"sigma_rel": list(posthoc.sigma_rel), "updates": taken}
        tensors |= state.kept(taken)
    write_weights(model, tensors, about)
    with writing(history) as temporary:
        pd.DataFrame(trainer.history).to_csv(temporary, index=False)
    write_json(record, {**who, "key": state.key, **by, "where": where, **_cost(trainer, first),
                        "seconds": round(time.monotonic() - started, 1)})  # fmt: skip


def described(spec: dict[str, Any], trainer: Trainer) -> dict[str, Any]:
    """Return what sampling must know of a network, its weights apart."""
    images = trainer.batches.images
    return {
        "network": spec["network"], "process": spec["process"], "channels": images.shape[1],
        "size": images.shape[2], "classes": int(trainer.batches.labels.max()) + 1,
        "told": trainer.options.told(), "points": images.dtype != torch.uint8,
        "label": trainer.method.label_use(trainer.options.conditional),
    }  # fmt: skip


def identity(
    spec: dict[str, Any], seed: int, data: Path, init: Path | None = None
) -> dict[str, Any]:
    """Return what decides the run's result: options, seed, data, start and the code that runs."""
    stage = "ensemble" if "ensemble" in spec["train"] else "train"
    code = stage_code(stage, *_parts(spec))
    who = {"spec": spec, "seed": seed, "code": code, "data": sha256(data)}
    return {**who, "init": read_about(init)["key"]} if init else who


def finished(
    spec: dict[str, Any], seed: int, data: Path, folder: Path, init: Path | None = None
) -> bool:
    """Whether `folder` holds exactly this run, finished."""
    names = ("model.safetensors", "history.csv", "run.json")
    files = [folder / name for name in names]
    return all(map(Path.exists, files)) and made(identity(spec, seed, data, init), *files)


def made(who: dict[str, Any], model: Path, history: Path, record: Path) -> bool:
    """Whether a run's files are there, and say that they are this run's."""
    if not all(Path(file).exists() for file in (model, history, record)):
        return False
    return bool(read_json(record).get("key") == run_key(who))


def make_trainer(
    spec: dict[str, Any], seed: int, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> Trainer:
    """Build the trainer of a run; the network's first weights depend on the seed alone."""
    network, process, *methods = _parts(spec)
    options = parse(TrainOptions, spec["train"], ("train",))
    class_counts = np.bincount(labels).tolist()
    method = compose(methods, class_counts)
    batches = Batches(images, labels, options, seed, device, method.by_class)
    use = method.label_use(options.conditional)
    shape = *images.shape[1:3], len(class_counts), options.told()
    nets = []
    for owner in owners(seed, len(class_counts)) if method.players else [seed]:
        with torch.random.fork_rng([]):
            torch.manual_seed(derive("init", owner))
            nets.append(build_network(network, use, *shape))
    net = Players(nets) if method.players else nets[0]
    process = process.module.build(process.options)
    return Trainer(net, method, process, batches, options, seed)


def start_from(trainer: Trainer, init: Path) -> None:
    """Let a trainer start from another run's averaged weights.

    Raises:
        LtdmError: They are not its network's.
    """
    weights, about = read_weights(init, "ema.")
    try:
        trainer.start_from(weights)
    except RuntimeError as error:
        raise LtdmError(
            f"{init} holds another network than this run's, so it cannot start from it; give both"
            " the same network, augmentation and method's mode"
        ) from error
    log.info("starting from %s (%s)", init, about["key"])


def _parts(spec: dict[str, Any]) -> list[Part]:
    """Return network, process and methods."""
    return [p for kind in PARTS for p in parts(kind, spec[kind], (kind,))]


def _cost(trainer: Trainer, first: int) -> dict[str, Any]:
    """Return what was spent since update `first`."""
    return {
        "parameters": sum(p.numel() for p in trainer.net.parameters()),
        "updates": trainer.update,
        "resumed_at": first,
        "evaluations_per_image": trainer.counted(),
    }
