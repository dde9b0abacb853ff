"""What a page was made from: config, versions, hardware, seconds and digests."""

from collections import Counter
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ltdm.config.layout import MANIFEST
from ltdm.config.places import leaf_paths
from ltdm.pipeline import snapshot
from ltdm.plumbing.files import TABLE, explain_read_errors, read_json

MAIN_FILES = (".csv", "train.npz", "reference.npz", "samples.npz", "model.safetensors")
"""Endings of the files whose digests are shown; the manifest has those of all files."""


class Origin(NamedTuple):
    """What a page was made from; a part is empty if its files are not there."""

    config: list[tuple[str, str, str]]  # key, value, and the file that sets it
    software: list[tuple[str, str]]  # package and version, or commit
    hardware: list[tuple[str, int]]  # a device in words, and the networks trained on it
    seconds: list[tuple[str, int, float]]  # rule, its jobs and their seconds together
    digests: list[tuple[str, str]]  # file and SHA-256
    files: str  # number and size of the files in the manifest


def read_origin(results: Path) -> Origin:
    """Return what the results in a folder were made from."""
    run_snapshot = snapshot.newest(results / "logs") or {}
    # In a comparison the folder of a run is one in that of its results: runs/*/*/*/seed-*.
    records = [read_json(file) for file in sorted(results.glob("runs/*/**/seed-*/run.json"))]
    manifest = read_json(results / MANIFEST) if (results / MANIFEST).is_file() else {}
    software: dict[str, dict[str, None]] = {}
    for record in [*records, manifest]:
        for package, version in {
            **record.get("versions", {}),
            "commit": record.get("commit"),
        }.items():
            if version:
                software.setdefault(package, {})[version] = None
    devices = Counter(device for record in records for device in record.get("where", []))
    files = manifest.get("files", {})
    size = sum(entry["bytes"] for entry in files.values()) / 1e9
    return Origin(
        _config_lines(run_snapshot),
        [(package, ", ".join(found)) for package, found in software.items()],
        devices.most_common(),
        _seconds(results / "benchmarks"),
        [(name, e["sha256"]) for name, e in files.items() if name.endswith(MAIN_FILES)],
        f"{len(files):,} files, {size:.3g} GB" if files else "",
    )


def _config_lines(run_snapshot: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return each option of a run's merged config, its value, and the file that sets it."""
    config, origins = run_snapshot.get("config", {}), run_snapshot.get("origins", {})
    values = {".".join(path): reduce(getitem, path, config) for path in leaf_paths(config)}
    return [(name, str(value), origins.get(name, "")) for name, value in values.items()]


def _seconds(benchmarks: Path) -> list[tuple[str, int, float]]:
    """Return each rule's number of jobs and their seconds, from Snakemake's benchmark files."""
    seconds: dict[str, list[float]] = {}
    for file in sorted(benchmarks.glob("**/*.tsv")):
        with explain_read_errors(file, TABLE):
            measured = pd.read_csv(file, sep="\t", usecols=["s"], dtype=float)["s"]
        rule = file.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        seconds.setdefault(rule, []).append(float(measured.sum()))
    totals = [(rule, len(jobs), sum(jobs)) for rule, jobs in seconds.items()]
    return sorted(totals, key=lambda total: -total[2])
