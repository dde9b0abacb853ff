"""The progress of an experiment's networks, read from the files of its results alone."""

import math
import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm.config.layout import Layout
from ltdm.config.rules import NETWORK, Wildcards
from ltdm.pipeline import snapshot
from ltdm.pipeline.old_results import check_results_version
from ltdm.plumbing.errors import LtdmError, count_of
from ltdm.plumbing.files import explain_read_errors, read_json
from ltdm.plumbing.progress import LINE_INTERVAL, format_duration

DEAD_AFTER = 9 * LINE_INTERVAL
"""Seconds without a report after which a training counts as dead, or its disk as slow."""
RATE = "units_per_second"


@dataclass(frozen=True)
class NetworkStatus:
    """The status of one network."""

    network: tuple[str, str, int]  # data set, run and seed
    state: str  # a word or a sentence
    progress: dict[str, Any]  # its training's last report; empty before and after training


def network_statuses(results: Path) -> list[NetworkStatus]:
    """Return the status of every network of an experiment: those of its last run, then others.

    Raises:
        LtdmError: The folder holds no networks, or those of ltdm 0.1.
    """
    check_results_version(results)
    run_snapshot = snapshot.newest(results / "logs") or {}
    networks = {(d, r, s): None for d, r, s in run_snapshot.get("networks", [])}
    for folder in sorted((results / "runs").glob("*/*/seed-*")):
        dataset, run, seed = folder.relative_to(results / "runs").parts
        if (number := seed.removeprefix("seed-")).isdecimal():  # else it is someone's copy
            networks[dataset, run, int(number)] = None
    if not networks:
        raise LtdmError(f"{results} holds no networks; name a folder such as results/demo")
    layout = Layout(results)
    return [_status_of(network, layout, run_snapshot) for network in networks]


def _status_of(
    network: tuple[str, str, int], layout: Layout, run_snapshot: dict[str, Any]
) -> NetworkStatus:
    wildcards = dict(zip(NETWORK, network, strict=True))
    model = layout.path("train.model", **wildcards)
    if model.exists() and layout.path("train.record", **wildcards).exists():
        return NetworkStatus(network, _state_after_training(wildcards, layout, run_snapshot), {})
    reports = map(_read_progress, (model.parent / "state").glob("**/progress.json"))
    # Older reports are of trainings with other options.
    progress = max(reports, key=lambda report: report["time"], default={})
    return NetworkStatus(network, _state_text(progress) if progress else "waiting", progress)


def _read_progress(file: Path) -> dict[str, Any]:
    """Return the last report of a training; LtdmError if the file is damaged."""
    report = read_json(file)
    with explain_read_errors(file, "report of a training"):
        texts = {key: str(report[key]) for key in ("what", "note", "ended", "host", "pid")}
        texts["job"] = str(report["job"] or "")  # None without Slurm
        rates = {key: float(report[key]) for key in ("time", "images_per_second", RATE)}
        if not all(map(math.isfinite, rates.values())):
            raise ValueError("a number in it is not finite")
        return {**texts, **rates, **{key: int(report[key]) for key in ("done", "total")}}


def _state_after_training(network: Wildcards, layout: Layout, run_snapshot: dict[str, Any]) -> str:
    """Return how far a trained network is: "trained", "sampled" (all its sets) or "scored"."""
    names = run_snapshot.get("sets_of_run", {}).get(network["run"], [])
    sets = [{**network, "sample_set": name} for name in names]
    samples = [layout.path("sample.samples", **wildcards) for wildcards in sets]
    if not samples or not all(file.exists() for file in samples):
        return "trained"
    for wildcards, metric in product(sets, run_snapshot["metrics"]):
        if not layout.path("metrics.table", **wildcards, metric=metric).exists():
            return "sampled"
    return "scored"


def _state_text(progress: dict[str, Any]) -> str:
    if progress["ended"]:
        return "ending" if progress["ended"] == "done" else progress["ended"]
    quiet = time.time() - progress["time"]
    return f"silent for {format_duration(quiet)}" if quiet > DEAD_AFTER else progress["what"]


def format_status(results: Path) -> str:
    """Return the status of an experiment as text for a terminal: a row per network, and a sum."""
    statuses = network_statuses(results)
    frame = pd.DataFrame([_row(status) for status in statuses]).fillna("")
    counts = Counter(status.state.partition(" ")[0].rstrip(":") for status in statuses)
    summary = ", ".join(f"{number} {state}" for state, number in counts.most_common())
    return f"{frame.to_string(index=False)}\n\n{count_of(len(statuses), 'network')}: {summary}."


def _row(status: NetworkStatus) -> dict[str, Any]:
    dataset, run, seed = status.network
    row = {"data set": dataset, "run": run, "seed": seed, "state": status.state}
    progress = status.progress
    if not progress:
        return row
    row["step"] = f"{progress['done']:,} of {progress['total']:,}"
    if not progress["ended"] and progress[RATE]:
        remaining = (progress["total"] - progress["done"]) / progress[RATE]
        row["images/s"] = f"{progress['images_per_second']:.0f}"
        row["left"] = format_duration(remaining)
    place = f"{progress['host']}, process {progress['pid']}"
    return {**row, "last": progress["note"], "job": progress["job"], "where": place}
