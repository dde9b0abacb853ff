"""Long-tailed training set -> one trained network."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ltdm.device import pick
from ltdm.errors import LtdmError
from ltdm.files import read_npz, reading, sha256, write_json, writing
from ltdm.methods._objective import compose
from ltdm.networks._players import Players, build_network
from ltdm.options import parse
from ltdm.provenance import commit, versions
from ltdm.registry import PARTS, Part, parts, stage_code
from ltdm.seeding import derive, owners
from ltdm.training.batches import Batches
from ltdm.training.loop import Trainer
from ltdm.training.options import TrainOptions
from ltdm.training.state import State, run_key
from ltdm.weights import read_about, read_weights, write_weights

log = logging.getLogger("ltdm")


def run(spec: dict[str, Any], seed: int, *, data: Path, model: Path, history: Path,
        record: Path, init: Path | None = None) -> None:  # fmt: skip
    """Train one network, going on from the saved state where there is one.

    Args:
        spec: `network`, `process`, `method` (one or a list) and `train` options, as in the config.
        seed: Owner of all draws.
        data: train.npz.
        model: Where the weights go: averaged ("ema.") and last ("raw."), safetensors.
        history: Where the losses go, a row every `train.log_every` updates.
        record: Where run.json goes: what was run, on what, by what.
        init: The network of the run that `train.init_from` names.

    Raises:
        LtdmError: Bad options or data, divergence, a state of another run, a full disk.
    """
    device, started, by = pick(), time.monotonic(), {"versions": versions(), "commit": commit()}
    who = identity(spec, seed, data, init)
    state = State(Path(model).parent / "state", run_key(who))
    images, labels = read_npz(data, "images", "labels")
    trainer = make_trainer(spec, seed, images, labels, device)
    where = [f"{device_name(device)}, {trainer.predict.precision}"]
    saved = state.load(device)
    if init and not saved:
        start_from(trainer, init)
    if saved:
        trainer.resume(saved)
        where = saved["where"] + [w for w in where if w != saved["where"][-1]]
        log.info("resuming at update %d", trainer.update)
    first = trainer.update
    trainer.fit(lambda content: state.save({**content, "where": where}))
    about = {**described(spec, trainer), "key": state.key}
    averaged, last = trainer.ema.state_dict(), trainer.net.state_dict()
    tensors = {f"ema.{k}": v for k, v in averaged.items()}
    write_weights(model, tensors | {f"raw.{k}": v for k, v in last.items()}, about)
    with writing(history) as temporary:
        pd.DataFrame(trainer.history).to_csv(temporary, index=False)
    write_json(record, {**who, "key": state.key, **by, "where": where, **_cost(trainer, first),
                        "seconds": round(time.monotonic() - started, 1)})  # fmt: skip
    state.clear()


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
    files = [folder / name for name in ("run.json", "model.safetensors", "history.csv")]
    if not all(file.exists() for file in files):
        return False
    with reading(files[0]):
        key = json.loads(files[0].read_text(encoding="utf-8"))["key"]
    return bool(key == run_key(identity(spec, seed, data, init)))


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


def device_name(device: torch.device) -> str:
    """Return what a device is called."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def _cost(trainer: Trainer, first: int) -> dict[str, Any]:
    """Return what was spent since update `first`."""
    images = trainer.batches.size * max(trainer.update - first, 1)
    return {
        "parameters": sum(p.numel() for p in trainer.net.parameters()),
        "updates": trainer.update,
        "resumed_at": first,
        "evaluations_per_image": trainer.predict.counted(images),
    }
