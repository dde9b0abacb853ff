"""The progress of an experiment's networks, read from the files of its results alone."""

import math
import time
from collections import Counter
from dataclasses import dataclass, replace
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
    is_due: bool  # whether the last run has yet to train, sample or score it

    @property
    def is_running(self) -> bool:
        """Whether a training of it has reported lately."""
        return bool(self.progress) and not self.progress["ended"] and self.word != "silent"

    @property
    def word(self) -> str:
        """The first word of the state."""
        return self.state.partition(" ")[0].rstrip(":")


def network_statuses(results: Path) -> list[NetworkStatus]:
    """Return the status of every network of an experiment: those of its last run, then others.

    Raises:
        LtdmError: The folder holds no networks, or those of ltdm 0.1.
    """
    check_results_version(results)
    run_snapshot = snapshot.newest(results / "logs") or {}
    last_run = {(d, r, s): None for d, r, s in run_snapshot.get("networks", [])}
    networks = dict(last_run)
    for folder in sorted(_find(results / "runs", "*/*/seed-*")):
        dataset, run, seed = folder.relative_to(results / "runs").parts
        if (number := seed.removeprefix("seed-")).isdecimal():  # else it is someone's copy
            networks[dataset, run, int(number)] = None
    if not networks:
        raise LtdmError(f"{results} holds no networks; name a folder such as results/demo")
    layout = Layout(results)
    statuses = [_status_of(network, layout, run_snapshot) for network in networks]
    if not last_run:
        return statuses
    return [
        replace(s, is_due=s.is_due and (s.network in last_run or s.is_running)) for s in statuses
    ]


def _find(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a pattern; none if a folder vanishes meanwhile, as that of a state."""
    try:
        return [*folder.glob(pattern)]
    except FileNotFoundError:
        return []


def _status_of(
    network: tuple[str, str, int], layout: Layout, run_snapshot: dict[str, Any]
) -> NetworkStatus:
    wildcards = dict(zip(NETWORK, network, strict=True))
    model = layout.path("train.model", **wildcards)
    # The reports are read first: they vanish at the end of a training, when the model exists.
    reports = [*map(_read_progress, _find(model.parent / "state", "**/progress.json"))]
    goal = "scored" if run_snapshot.get("sets_of_run", {}).get(network[1]) else "trained"
    if model.exists() and layout.path("train.record", **wildcards).exists():
        state = _state_after_training(wildcards, layout, run_snapshot)
        return NetworkStatus(network, state, {}, is_due=state != goal)
    # Older reports are of trainings with other options.
    progress = max(filter(None, reports), key=lambda report: report["time"], default={})
    state = _state_text(progress) if progress else "waiting"
    return NetworkStatus(network, state, progress, is_due=True)


def _read_progress(file: Path) -> dict[str, Any]:
    """Return the last report of a training, empty if it is gone; LtdmError if it is damaged."""
    try:
        report = read_json(file)
    except LtdmError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return {}
        raise
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
    return format_table(network_statuses(results))


def format_table(statuses: list[NetworkStatus]) -> str:
    """Return a row per network, and a sum."""
    return "\n".join([*table_lines(statuses), "", format_summary(statuses)])


def table_lines(statuses: list[NetworkStatus]) -> list[str]:
    """Return a table as lines: its header, and a row per network."""
    frame = pd.DataFrame([_row(status) for status in statuses]).fillna("")
    return frame.to_string(index=False).splitlines()


def format_summary(statuses: list[NetworkStatus], noun: str = "network") -> str:
    """Return how many networks are in which state, as a sentence; `noun` is what they are."""
    counts = Counter(status.word for status in statuses)
    summary = ", ".join(f"{number} {state}" for state, number in counts.most_common())
    return f"{count_of(len(statuses), noun)}: {summary}."


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
