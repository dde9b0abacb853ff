"""What a page was made from: config, versions, hardware, seconds and digests."""

import re
from collections import Counter
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

from ltdm.config.layout import MANIFEST
from ltdm.config.places import leaf_paths
from ltdm.pipeline import snapshot
from ltdm.plumbing.files import TABLE, explain_read_errors, read_json, sha256

MAIN_FILES = re.compile(r"tables/.*|.*/(train|reference|samples)\.npz|.*/model\.safetensors")
"""Files whose digests are shown; the manifest has those of all files."""
RECORD = "record of ltdm"  # the kind of a file, for messages


class Origin(NamedTuple):
    """What a page was made from; a part is empty if its files are not there."""

    config: list[tuple[str, str, str]]  # key, value, and the file that sets it
    software: list[tuple[str, str]]  # package and version, or commit
    hardware: list[tuple[str, int]]  # a device in words, and the networks trained on it
    seconds: list[tuple[str, int, float]]  # rule, its jobs and their seconds together
    digests: list[tuple[str, str]]  # file and SHA-256
    files: str  # number and size of the files in the manifest
    changed: list[str]  # records that are not those of the manifest, and so of the scores


def read_origin(results: Path, networks: list[Path]) -> Origin:
    """Return what the results in a folder were made from; `networks` are the records of training.

    Raises:
        LtdmError: A file is damaged.
    """
    run_snapshot = snapshot.newest(results / "logs") or {}
    software: dict[str, dict[str, None]] = {}
    devices: Counter[str] = Counter()
    digests: dict[str, str] = {}
    size = 0
    for file in (file for file in [*networks, results / MANIFEST] if file.is_file()):
        record = read_json(file)
        with explain_read_errors(file, RECORD):
            devices.update(map(str, record.get("where", [])))
            commit = {"commit": record["commit"]} if record.get("commit") else {}
            for package, version in {**record["versions"], **commit}.items():
                software.setdefault(package, {})[str(version)] = None
            for name, entry in record.get("files", {}).items():
                digests[name] = str(entry["sha256"])
                size += int(entry["bytes"])
    names = [file.relative_to(results).as_posix() for file in networks]
    return Origin(
        _config_lines(run_snapshot),
        [(package, ", ".join(found)) for package, found in software.items()],
        devices.most_common(),
        _seconds(results / "benchmarks"),
        [(name, digest) for name, digest in digests.items() if MAIN_FILES.fullmatch(name)],
        f"{len(digests):,} files, {size / 1e9:.3g} GB" if digests else "",
        [name for name in names if digests.get(name, "") not in ("", _digest(results / name))],
    )


def _digest(file: Path) -> str:
    return sha256(file) if file.is_file() else "missing"


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
            rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
            measured = sum(float(row[rows[0].index("s")]) for row in rows[1:])
        rule = file.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        seconds.setdefault(rule, []).append(measured)
    totals = [(rule, len(jobs), sum(jobs)) for rule, jobs in seconds.items()]
    return sorted(totals, key=lambda total: -total[2])
