"""How far the networks of an experiment are, read from the files of its results alone."""

import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm.config.layout import Layout
from ltdm.config.steps import NETWORK, Keys
from ltdm.pipeline import snapshot
from ltdm.pipeline.old_results import check_results_version
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.progress import LINE_EVERY, duration

SILENT = 9 * LINE_EVERY
"""Seconds without a sign of life after which a training counts as dead, or its disk as slow."""


@dataclass(frozen=True)
class Line:
    """What is known of one network."""

    network: tuple[str, str, int]  # data set, run and seed
    state: str  # a word or a sentence
    told: dict[str, Any]  # what its training last said; empty if it says nothing now


def lines(results: Path) -> list[Line]:
    """Return what is known of every network of an experiment."""
    check_results_version(results)
    wanted = snapshot.latest(results / "logs") or {}
    networks = {(str(d), str(r), int(s)): None for d, r, s in wanted.get("networks", [])}
    for folder in sorted((results / "runs").glob("*/*/seed-*")):
        dataset, run, seed = folder.relative_to(results / "runs").parts
        networks[dataset, run, int(seed.removeprefix("seed-"))] = None
    if not networks:
        raise LtdmError(f"{results} holds no networks; name a folder such as results/demo")
    layout = Layout(results)
    return [_network(n, layout, wanted) for n in networks]


def _network(network: tuple[str, str, int], layout: Layout, wanted: dict[str, Any]) -> Line:
    keys = dict(zip(NETWORK, network, strict=True))
    model, record = layout.path("train.model", **keys), layout.path("train.record", **keys)
    if model.exists() and record.exists():
        return Line(network, _after(keys, layout, wanted), {})
    said = map(read_json, (model.parent / "state").glob("**/progress.json"))
    told = max(said, key=lambda one: one["time"], default={})  # older files are of other options
    return Line(network, _state(told) if told else "waiting", told)


def _after(network: Keys, layout: Layout, wanted: dict[str, Any]) -> str:
    """Return how far a trained network's images are."""
    sets = [{**network, "sample_set": name} for name in wanted.get("sample_sets", [])]
    if not sets or not all(layout.path("sample.samples", **keys).exists() for keys in sets):
        return "trained"
    for keys, metric in product(sets, wanted["metrics"]):
        if not layout.path("metrics.table", **keys, metric=metric).exists():
            return "sampled"
    return "scored"


def _state(told: dict[str, Any]) -> str:
    if told["ended"]:
        return "ending" if told["ended"] == "done" else told["ended"]
    quiet = time.time() - told["time"]
    return f"silent for {duration(quiet)}" if quiet > SILENT else told["what"]


def text(results: Path) -> str:
    """Write the state of an experiment for a terminal."""
    found = lines(results)
    frame = pd.DataFrame([_row(line) for line in found]).fillna("")
    counts = Counter(line.state.partition(" ")[0].rstrip(":") for line in found)
    summary = ", ".join(f"{number} {state}" for state, number in counts.most_common())
    return f"{frame.to_string(index=False)}\n\n{len(found)} networks: {summary}."


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
