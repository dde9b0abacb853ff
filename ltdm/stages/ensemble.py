"""Long-tailed training set -> one network by iterative ensemble training.

A shard's round starts from files (the shard's own state and the last average) and ends with a file,
its new state. So the result does not depend on interruptions, and one network at a time is on the
device.
"""

import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ltdm.core.device import device_name, pick_device
from ltdm.core.image_files import read_image_file
from ltdm.core.weights import add_prefix, read_weights, select_prefix, write_weights
from ltdm.plumbing.files import write_json, write_text
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.stopping import StopRequest
from ltdm.training.ensemble import Weights, shard_rows, shard_seed, shard_steps, weighted_mean
from ltdm.training.live import LiveView
from ltdm.training.options import Ensemble
from ltdm.training.setup import Recipe, init_trainer, make_trainer, model_metadata
from ltdm.training.state import Files, State, explain_state_errors, read_state, write_state

log = logging.getLogger("ltdm")
CPU = torch.device("cpu")  # averages are made here: on a device they would only wait for copies
SHARD_SUMMARY = ("images", "step", "history", "where", "seconds", "evaluations")
"""Entries of a shard's state file besides its weights and optimiser."""


class EnsembleTrainer:
    """The shards of a run, and the one network that trains on them in turn; see `train`.

    Rounds are counted from 1, shards from 0.
    """

    def __init__(self, recipe: Recipe, identity: dict[str, Any], files: Files) -> None:
        self.identity, self.seed, self.files = identity, identity["seed"], files
        state = files.state(identity)
        self.folder, self.key = state.folder, state.key
        images, labels, *_ = read_image_file(files.data)
        self.trainer = make_trainer(recipe, self.seed, images, labels, pick_device())
        if files.init:
            init_trainer(self.trainer, files.init)
        self.metadata = {**model_metadata(recipe, self.trainer), "key": self.key}
        self.options = recipe.train.ensemble or Ensemble()
        self.shards = shard_rows(labels, self.options.shards)
        self.initial_state = io.BytesIO()  # serialised, since the trainer's tensors change
        torch.save(self.trainer.state(), self.initial_state)

    def shard_file(self, number: int, shard: int) -> Path:
        """Return the path of a shard's state after round `number`."""
        return self.folder / f"round-{number}-shard-{shard}.pt"

    def average_file(self, number: int) -> Path:
        """Return the path of a round's average; round 0 and the last round have none."""
        return self.folder / f"average-{number}.safetensors"

    def train(self, number: int, shard: int, stop: StopRequest) -> None:
        """Train one shard for round `number`, resuming from a saved state if there is one."""
        trainer, rows, started = self.trainer, self.shards[shard], time.monotonic()
        steps = shard_steps(trainer.options, len(rows), trainer.batches.size)
        trainer.switch_shard(rows, shard_seed(self.seed, shard), number * steps)
        state = State(self.folder.parent / f"round-{number}-shard-{shard}", self.key)
        saved_state = state.load(trainer.device)
        if saved_state:
            with explain_state_errors(state.file):
                spent = self._resume(saved_state)
            log.info("resuming at step %d", trainer.step_count)
        else:
            spent = self._start_round(number, shard)
        del saved_state  # it is as large as the trainer's own
        trainer.reset_counts()

        def time_spent() -> dict[str, Any]:
            return {**spent, "seconds": float(spent["seconds"] + time.monotonic() - started)}

        folder = self.files.model.parent
        view = LiveView(folder, self.key, trainer, self.metadata, self.seed, shard)
        trainer.fit(
            lambda content: state.save({**content, **time_spent()}),
            f"round {number} of {self.options.rounds}, shard {shard + 1} of {self.options.shards}",
            stop,
            state.progress,
            after_step=view.after_step,
        )
        summary = {"images": len(rows), "evaluations": trainer.calls_per_image()}
        content = {**trainer.state(), **time_spent(), **summary}
        write_state(self.shard_file(number, shard), self.key, content)
        state.clear()

    def _start_round(self, number: int, shard: int) -> dict[str, Any]:
        """Load a shard's state and the last average; return its devices and seconds so far."""
        device = self.trainer.device
        if number == 1:
            self.initial_state.seek(0)
            initial = torch.load(self.initial_state, map_location=device, weights_only=True)
            return self._resume({**initial, "where": [], "seconds": 0.0})
        file = self.shard_file(number - 1, shard)
        with explain_state_errors(file):
            spent = self._resume(read_state(file, self.key, device))
        weights, _ = read_weights(self.average_file(number - 1))
        self.trainer.load_weights(select_prefix("last.", weights), select_prefix("ema.", weights))
        return spent

    def _resume(self, state: dict[str, Any]) -> dict[str, Any]:
        """Resume from a state; return the shard's devices, this one included, and its seconds."""
        self.trainer.resume(state)
        device = f"{device_name(self.trainer.device)}, {self.trainer.predict.precision}"
        new = [device] if device not in state["where"][-1:] else []
        return {"where": state["where"] + new, "seconds": state["seconds"]}

    def average(self, number: int, path: Path) -> list[dict[str, Any]]:
        """Write the average of a round's shards; return the summary in each shard's file."""
        summaries = []

        def sized_weights() -> Iterator[tuple[int, Weights]]:
            for shard in range(self.options.shards):
                state = read_state(self.shard_file(number, shard), self.key, CPU)
                summaries.append({name: state[name] for name in SHARD_SUMMARY})
                ema, last = add_prefix("ema.", state["ema"]), add_prefix("last.", state["net"])
                yield state["images"], ema | last

        write_weights(path, weighted_mean(sized_weights()), self.metadata)
        return summaries

    def finish(self) -> None:
        """Write the run's network and records from the last round's shards."""
        provenance = {"versions": versions(), "commit": commit()}
        shards = self.average(self.options.rounds, self.files.model)
        frames = [pd.DataFrame(shard["history"]).assign(shard=k) for k, shard in enumerate(shards)]
        rows = pd.concat(frames).sort_values(["step", "shard"], kind="stable")
        rows[["step", "images"]] *= len(shards)  # over all shards, to compare with other runs
        write_text(self.files.history, rows.to_csv(index=False))
        evaluations = pd.DataFrame([shard["evaluations"] for shard in shards]).mean().to_dict()
        result = {
            "where": list(dict.fromkeys(device for shard in shards for device in shard["where"])),
            "parameters": sum(p.numel() for p in self.trainer.net.parameters()),
            "steps": sum(shard["step"] for shard in shards),
            "shards": [shard["images"] for shard in shards],
            "evaluations_per_image": evaluations,
            "seconds": round(sum(shard["seconds"] for shard in shards), 1),
        }
        write_json(self.files.record, {**self.identity, "key": self.key, **provenance, **result})


def train(recipe: Recipe, identity: dict[str, Any], files: Files, stop: StopRequest) -> None:
    """Train all rounds in one job, resuming where it was interrupted.

    The weights are the averages of the last round. In the history, losses are each shard's, and
    `step` and `images` count over all shards. The arguments are those of `single.fit`; it raises
    what `stages.train.run` does.
    """
    trainer = EnsembleTrainer(recipe, identity, files)
    rounds = trainer.options.rounds
    finished = [r for r in range(1, rounds) if trainer.average_file(r).exists()]
    for r in range(max(finished, default=0) + 1, rounds + 1):
        for k in range(trainer.options.shards):
            if not trainer.shard_file(r, k).exists():
                trainer.train(r, k, stop)
            trainer.shard_file(r - 1, k).unlink(missing_ok=True)
        if r < rounds:
            trainer.average(r, trainer.average_file(r))
            trainer.average_file(r - 1).unlink(missing_ok=True)
    trainer.finish()
