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
from ltdm.files import read_npz, reading, sha256, write_json, writing
from ltdm.options import parse
from ltdm.provenance import commit, versions
from ltdm.registry import PARTS, Part, part, stage_code
from ltdm.seeding import derive
from ltdm.training.batches import Batches
from ltdm.training.loop import Trainer
from ltdm.training.options import TrainOptions
from ltdm.training.state import State, run_key
from ltdm.weights import write_weights

log = logging.getLogger("ltdm")


def run(spec: dict[str, Any], seed: int, *, data: Path, model: Path, history: Path,
        record: Path) -> None:  # fmt: skip
    """Train one network, going on from the saved state where there is one.

    Args:
        spec: `network`, `process`, `method` and `train` options, as in the config.
        seed: Owner of all draws.
        data: train.npz.
        model: Where the weights go: averaged ("ema.") and last ("raw."), safetensors.
        history: Where the losses go, a row every `train.log_every` updates.
        record: Where run.json goes: what was run, on what, by what.

    Raises:
        LtdmError: Bad options or data, divergence, a state of another run, a full disk.
    """
    device, started, by = pick(), time.monotonic(), {"versions": versions(), "commit": commit()}
    who = identity(spec, seed, data)
    state = State(Path(model).parent / "state", run_key(who))
    images, labels = read_npz(data, "images", "labels")
    trainer = make_trainer(spec, seed, images, labels, device)
    where = [f"{_device_name(device)}, {trainer.predict.precision}"]
    saved = state.load(device)
    if saved:
        trainer.resume(saved)
        where = saved["where"] + [w for w in where if w != saved["where"][-1]]
        log.info("resuming at update %d", trainer.update)
    first = trainer.update
    trainer.fit(lambda content: state.save({**content, "where": where}))
    about = {
        "network": spec["network"], "process": spec["process"], "channels": images.shape[1],
        "size": images.shape[2], "classes": int(labels.max()) + 1, "key": state.key,
        "told": trainer.options.told(), "points": images.dtype != np.uint8,
    }  # fmt: skip
    averaged, last = trainer.ema.state_dict(), trainer.net.state_dict()
    tensors = {f"ema.{k}": v for k, v in averaged.items()}
    write_weights(model, tensors | {f"raw.{k}": v for k, v in last.items()}, about)
    with writing(history) as temporary:
        pd.DataFrame(trainer.history).to_csv(temporary, index=False)
    write_json(record, {**who, "key": state.key, **by, "where": where, **_cost(trainer, first),
                        "seconds": round(time.monotonic() - started, 1)})  # fmt: skip
    state.clear()


def identity(spec: dict[str, Any], seed: int, data: Path) -> dict[str, Any]:
    """Return what decides the run's result: options, seed, data and the code that is loaded."""
    code = stage_code("train", *_parts(spec).values())
    return {"spec": spec, "seed": seed, "code": code, "data": sha256(data)}


def finished(spec: dict[str, Any], seed: int, data: Path, folder: Path) -> bool:
    """Whether `folder` holds exactly this run, finished."""
    files = [folder / name for name in ("run.json", "model.safetensors", "history.csv")]
    if not all(file.exists() for file in files):
        return False
    with reading(files[0]):
        key = json.loads(files[0].read_text(encoding="utf-8"))["key"]
    return bool(key == run_key(identity(spec, seed, data)))


def make_trainer(
    spec: dict[str, Any], seed: int, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> Trainer:
    """Build the trainer of a run; the network's first weights depend on the seed alone."""
    parts, options = _parts(spec), parse(TrainOptions, spec["train"], ("train",))
    class_counts = np.bincount(labels).tolist()
    with torch.random.fork_rng([]):
        torch.manual_seed(derive("init", seed))
        net = parts["network"].module.build(
            parts["network"].options, *images.shape[1:3], len(class_counts), options.told()
        )
    method = parts["method"].module.build(parts["method"].options, class_counts)
    process = parts["process"].module.build(parts["process"].options)
    batches = Batches(images, labels, options, seed, device)
    return Trainer(net, method, process, batches, options, seed)


def _parts(spec: dict[str, Any]) -> dict[str, Part]:
    return {kind: part(kind, spec[kind], (kind,)) for kind in PARTS}


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def _cost(trainer: Trainer, first: int) -> dict[str, Any]:
    """Return what was spent since update `first`."""
    images = trainer.options.batch * max(trainer.update - first, 1)
    return {
        "parameters": sum(p.numel() for p in trainer.net.parameters()),
        "updates": trainer.update,
        "resumed_at": first,
        "evaluations_per_image": trainer.predict.evaluations / images,
    }
