"""Long-tailed training set -> one network by iterative ensemble training.

A shard's round starts from files and ends in one: what the shard keeps to itself and the last
average, then its state. So it makes no difference when the job was interrupted; and one network at
a time is on the device.
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
from ltdm.core.weights import add_prefix, read_weights, select_prefix, write_weights
from ltdm.plumbing.files import read_npz, write_json, write_text
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.stopping import StopRequest
from ltdm.training.ensemble import Weights, averaged, owner, shard_updates, split
from ltdm.training.options import Ensemble
from ltdm.training.setup import Recipe, described, make_trainer, start_from
from ltdm.training.state import Files, State, read_state, write_state

log = logging.getLogger("ltdm")
CPU = torch.device("cpu")  # where averages are made: a device would only be waited for
TOLD = ("images", "update", "history", "where", "seconds", "evaluations")
"""What a shard's file says beside its weights and optimiser."""


class Team:
    """The shards of a run, and the one network that they train in turn; see `train`.

    Rounds are counted from 1, shards from 0.
    """

    def __init__(self, recipe: Recipe, who: dict[str, Any], files: Files) -> None:
        self.who, self.seed, self.files = who, who["seed"], files
        state = files.state(who)
        self.home, self.key = state.folder, state.key
        images, labels = read_npz(files.data, "images", "labels")
        self.trainer = make_trainer(recipe, self.seed, images, labels, pick_device())
        if files.init:
            start_from(self.trainer, files.init)
        self.about = {**described(recipe, self.trainer), "key": self.key}
        self.options = recipe.train.ensemble or Ensemble()
        self.shares = split(labels, self.options.shards)
        self.fresh = io.BytesIO()  # a shard's first state, for all that the network is lent to
        torch.save(self.trainer.state(), self.fresh)

    def file(self, number: int, shard: int) -> Path:
        """Return where a shard's state after a round lies."""
        return self.home / f"round-{number}-shard-{shard}.pt"

    def average_of(self, number: int) -> Path:
        """Return where a round's average lies; there is none of round 0, nor of the last."""
        return self.home / f"average-{number}.safetensors"

    def train(self, number: int, shard: int, stop: StopRequest) -> None:
        """Train one shard for one round, going on from a saved state where there is one."""
        trainer, share, started = self.trainer, self.shares[shard], time.monotonic()
        each = shard_updates(trainer.options, len(share), trainer.batches.size)
        trainer.serve(share, owner(self.seed, shard), number * each)
        state = State(self.home.parent / f"round-{number}-shard-{shard}", self.key)
        saved = state.load(trainer.device)
        if saved:
            log.info("resuming at update %d", saved["update"])
            spent = self._resumed(saved)
        else:
            spent = self._begun(number, shard)
        del saved  # it is as large as the trainer's own
        trainer.recount()

        def so_far() -> dict[str, Any]:
            return {**spent, "seconds": float(spent["seconds"] + time.monotonic() - started)}

        trainer.fit(
            lambda content: state.save({**content, **so_far()}),
            f"round {number} of {self.options.rounds}, shard {shard + 1} of {self.options.shards}",
            stop,
            state.progress,
        )
        told = {"images": len(share), "evaluations": trainer.counted()}
        write_state(self.file(number, shard), self.key, {**trainer.state(), **so_far(), **told})
        state.clear()

    def _begun(self, number: int, shard: int) -> dict[str, Any]:
        """Put the trainer where a round begins; return where and how long the shard has trained."""
        device = self.trainer.device
        if number == 1:
            self.fresh.seek(0)
            fresh = torch.load(self.fresh, map_location=device, weights_only=True)
            return self._resumed({**fresh, "where": [], "seconds": 0.0})
        spent = self._resumed(read_state(self.file(number - 1, shard), self.key, device))
        weights, _ = read_weights(self.average_of(number - 1))
        self.trainer.take(select_prefix("last.", weights), select_prefix("ema.", weights))
        return spent

    def _resumed(self, state: dict[str, Any]) -> dict[str, Any]:
        """Go on from a state; return where and how long the shard has trained."""
        self.trainer.resume(state)
        here = f"{device_name(self.trainer.device)}, {self.trainer.predict.precision}"
        new = [here] if here not in state["where"][-1:] else []
        return {"where": state["where"] + new, "seconds": state["seconds"]}

    def average(self, number: int, path: Path) -> list[dict[str, Any]]:
        """Write the average of a round's shards; return what each one's file says."""
        told = []

        def weighed() -> Iterator[tuple[int, Weights]]:
            for shard in range(self.options.shards):
                one = read_state(self.file(number, shard), self.key, CPU)
                told.append({name: one[name] for name in TOLD})
                ema, last = add_prefix("ema.", one["ema"]), add_prefix("last.", one["net"])
                yield one["images"], ema | last

        write_weights(path, averaged(weighed()), self.about)
        return told

    def finish(self) -> None:
        """Write the run's network and records from the last round's shards."""
        by = {"versions": versions(), "commit": commit()}
        told = self.average(self.options.rounds, self.files.model)
        frames = [pd.DataFrame(one["history"]).assign(shard=k) for k, one in enumerate(told)]
        rows = pd.concat(frames).sort_values(["update", "shard"], kind="stable")
        rows[["update", "images"]] *= len(told)  # of all shards, as other runs count
        write_text(self.files.history, rows.to_csv(index=False))
        evaluations = pd.DataFrame([one["evaluations"] for one in told]).mean().to_dict()
        made = {
            "where": list(dict.fromkeys(place for one in told for place in one["where"])),
            "parameters": sum(p.numel() for p in self.trainer.net.parameters()),
            "updates": sum(one["update"] for one in told),
            "shards": [one["images"] for one in told],
            "evaluations_per_image": evaluations,
            "seconds": round(sum(one["seconds"] for one in told), 1),
        }
        write_json(self.files.record, {**self.who, "key": self.key, **by, **made})


def train(recipe: Recipe, who: dict[str, Any], files: Files, stop: StopRequest) -> None:
    """Train all rounds in one job, going on from where it was interrupted.

    The weights are the averages of the last round; the losses are each shard's, `update` and
    `images` those of all shards. The arguments are those of `single.fit`, and it raises what
    `stages.train.run` does.
    """
    team = Team(recipe, who, files)
    rounds = team.options.rounds
    done = [r for r in range(1, rounds) if team.average_of(r).exists()]
    for r in range(max(done, default=0) + 1, rounds + 1):
        for k in range(team.options.shards):
            if not team.file(r, k).exists():
                team.train(r, k, stop)
            team.file(r - 1, k).unlink(missing_ok=True)
        if r < rounds:
            team.average(r, team.average_of(r))
            team.average_of(r - 1).unlink(missing_ok=True)
    team.finish()
