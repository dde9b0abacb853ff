"""How far the networks of an experiment are, read from the files of its results alone."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm import asked
from ltdm.errors import LtdmError
from ltdm.files import read_json
from ltdm.layout import Layout
from ltdm.progress import LINE_EVERY, duration

SILENT = 9 * LINE_EVERY
"""Seconds without a sign of life after which a training counts as dead, or its disk as slow."""
ENDS = {"stopped": "stopped", "done": "ending"}


@dataclass(frozen=True)
class Line:
    """What is known of one network, or of one shard of an ensemble.

    Attributes:
        network: Data set, run and seed.
        state: In a word or a sentence.
        told: What its training last said of itself; empty if it says nothing now.
    """

    network: tuple[str, str, int]
    state: str
    told: dict[str, Any]


def lines(results: Path) -> list[Line]:
    """Return what is known of every network of an experiment.

    Args:
        results: The experiment's results, such as `results/demo`.

    Raises:
        LtdmError: There are none.
    """
    wanted = asked.latest(results / "logs") or {}
    networks = {(str(d), str(r), int(s)): None for d, r, s in wanted.get("networks", [])}
    for folder in sorted((results / "runs").glob("*/*/seed-*")):
        dataset, run, seed = folder.relative_to(results / "runs").parts
        networks[dataset, run, int(seed.removeprefix("seed-"))] = None
    if not networks:
        raise LtdmError(f"{results} holds no networks; name a folder such as results/demo")
    layout = Layout(results)
    return [line for n in networks for line in _network(n, layout.run(*n), wanted)]


def _network(network: tuple[str, str, int], folder: Path, wanted: dict[str, Any]) -> Iterator[Line]:
    if (folder / "run.json").exists() and (folder / "model.safetensors").exists():
        yield Line(network, _after(folder, wanted), {})
        return
    said = _said(folder / "state")
    for told in said:
        yield Line(network, _state(told), told)
    if not said:
        yield Line(network, "waiting", {})


def _after(folder: Path, wanted: dict[str, Any]) -> str:
    """Return how far a trained network's images are."""
    sets = [folder / name for name in wanted.get("sample_sets", [])]
    if not sets or not all((one / "samples.npz").exists() for one in sets):
        return "trained"
    tables = [one / f"metrics/{metric}.csv" for one in sets for metric in wanted["metrics"]]
    return "scored" if all(table.exists() for table in tables) else "sampled"


def _said(state: Path) -> list[dict[str, Any]]:
    """Return what the trainings of a network said last: one, or one for each shard at work."""
    newest: dict[Path, dict[str, Any]] = {}
    for file in state.glob("**/progress.json"):
        told, home = read_json(file), file.parent.parent
        if home not in newest or told["time"] > newest[home]["time"]:
            newest[home] = told  # the others are of other options
    return sorted(newest.values(), key=lambda told: told["what"])


def _state(told: dict[str, Any]) -> str:
    if told["ended"]:
        return ENDS.get(told["ended"], told["ended"])
    quiet = time.time() - told["time"]
    if quiet > SILENT:
        return f"silent for {duration(quiet)}"
    return "training" if told["what"] == "training" else str(told["what"])


def text(results: Path) -> str:
    """Write the state of an experiment for a terminal."""
    found = lines(results)
    frame = pd.DataFrame([_row(line) for line in found]).fillna("")
    counts = Counter(line.state.partition(" ")[0].rstrip(":") for line in found)
    summary = ", ".join(f"{number} {state}" for state, number in counts.most_common())
    networks = len({line.network for line in found})
    return f"{frame.to_string(index=False)}\n\n{networks} networks: {summary}."


def _row(line: Line) -> dict[str, Any]:
    dataset, run, seed = line.network
    row = {"data set": dataset, "run": run, "seed": seed, "state": line.state}
    told = line.told
    if not told:
        return row
    row["step"] = f"{told['done']:,} of {told['total']:,}"
    if not told["ended"] and told["units_per_second"]:
        left = (told["total"] - told["done"]) / told["units_per_second"]
        row |= {"images/s": f"{told['images_per_second']:.0f}", "left": duration(left)}
    where = f"{told['host']}, process {told['pid']}"
    return {**row, "last": told["note"], "job": told["job"], "where": where}
