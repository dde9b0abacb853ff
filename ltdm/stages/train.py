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
from ltdm.registry import Part, part
from ltdm.seeding import derive
from ltdm.training.batches import Batches
from ltdm.training.loop import Trainer
from ltdm.training.options import TrainOptions
from ltdm.training.state import State, run_key
from ltdm.weights import write_weights

log = logging.getLogger("ltdm")


def run(spec: dict[str, Any], seed: int, code: str, *, data: Path, model: Path, history: Path,
        record: Path) -> None:  # fmt: skip
    """Train one network, going on from the saved state where there is one.

    Args:
        spec: `network`, `process`, `method` and `train` options, as in the config.
        seed: Owner of all draws.
        code: Digest of the code that decides the result.
        data: train.npz.
        model: Where the weights go: averaged ("ema.") and last ("raw."), safetensors.
        history: Where the losses go, a row every `train.log_every` updates.
        record: Where run.json goes: what was run, on what, by what.

    Raises:
        LtdmError: Bad options or data, divergence, a state of another run, a full disk.
    """
    device, started = pick(), time.monotonic()
    identity = {"spec": spec, "seed": seed, "code": code, "data": sha256(data)}
    state = State(Path(model).parent / "state", run_key(identity))
    images, labels = read_npz(data, "images", "labels")
    trainer = make_trainer(spec, seed, images, labels, device)
    saved = state.load(device)
    if saved:
        trainer.resume(saved)
        log.info("resuming at update %d", trainer.update)
    first = trainer.update
    trainer.fit(state.save)
    seconds = time.monotonic() - started
    about = {
        **{kind: spec[kind] for kind in ("network", "process")},
        "channels": images.shape[1], "size": images.shape[2], "classes": int(labels.max()) + 1,
        "key": state.key,
    }  # fmt: skip
    write_weights(
        model,
        {f"ema.{k}": v for k, v in trainer.ema.state_dict().items()}
        | {f"raw.{k}": v for k, v in trainer.net.state_dict().items()},
        about,
    )
    with writing(history) as temporary:
        pd.DataFrame(trainer.history).to_csv(temporary, index=False)
    write_json(
        record,
        {
            **identity, "key": state.key, "versions": versions(), "commit": commit(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in trainer.net.parameters()),
            "updates": trainer.update,
            "evaluations_per_image":
                trainer.predict.evaluations / max(trainer.batches.options.batch
                                                  * (trainer.update - first), 1),
            "seconds": round(seconds, 1),
            "resumed_at": first,
        },
    )  # fmt: skip
    state.clear()


def finished(spec: dict[str, Any], seed: int, code: str, data: Path, record: Path) -> bool:
    """Whether `record` (run.json) tells of exactly this run, finished."""
    if not Path(record).exists():
        return False
    identity = {"spec": spec, "seed": seed, "code": code, "data": sha256(data)}
    with reading(record):
        return json.loads(Path(record).read_text())["key"] == run_key(identity)


def make_trainer(
    spec: dict[str, Any],
    seed: int,
    images: np.ndarray,
    labels: np.ndarray,
    device: torch.device,
) -> Trainer:
    """Build the trainer of a run; the network's first weights depend on the seed alone."""
    parts: dict[str, Part] = {
        kind: part(kind, spec[kind], (kind,)) for kind in ("network", "process", "method")
    }
    options = parse(TrainOptions, spec["train"], ("train",))
    class_counts = np.bincount(labels).tolist()
    with torch.random.fork_rng([]):
        torch.manual_seed(derive("init", seed))
        net = parts["network"].module.build(
            parts["network"].options,
            images.shape[1],
            images.shape[2],
            len(class_counts),
        )
    method = parts["method"].module.build(parts["method"].options, class_counts)
    process = parts["process"].module.build(parts["process"].options)
    batches = Batches(images, labels, options, seed, device)
    return Trainer(net, method, process, batches, options, seed)
