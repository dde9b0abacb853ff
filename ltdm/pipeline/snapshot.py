"""The snapshot of a run of the workflow: its config, site and code when it began.

Snakemake's jobs read the config when they start, perhaps days after the run did. So the run writes
a snapshot beside the results, and its jobs read that instead of the config files.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ltdm.plumbing.files import explain_read_errors, read_json, write_json

ENV_VAR = "LTDM_RUN_SNAPSHOT"
PATTERN = "run-{}.json"
TYPES: Mapping[str, Callable[[Any], Any]] = {
    "config": dict,
    "origins": dict,
    "networks": lambda networks: [[str(d), str(r), int(s)] for d, r, s in networks],
    "codes": lambda codes: {rule: [*map(str, c)] for rule, c in codes.items()},
    "sets_of_run": lambda sets: {str(run): [*map(str, names)] for run, names in sets.items()},
    "metrics": lambda names: [*map(str, names)],
}
"""Functions that return an entry of a snapshot, and raise if it is of another type."""


def save(folder: Path, snapshot: Mapping[str, Any]) -> None:
    """Write a run's snapshot, and name its path to all jobs that start from this process.

    It holds the merged `config`, the `origins` of its options (config/places.py), the path of its
    `plan` and the digest of the `sources` (pipeline/saved_plan.py), its `site`, whether jobs are
    submitted to a `cluster`, the `codes` (digests) of each rule's jobs, and the run's `networks`
    (data set, run, seed), `sets_of_run` (sample sets by run) and `metrics`.
    """
    digest = hashlib.sha256(json.dumps(snapshot, sort_keys=True).encode()).hexdigest()[:16]
    file = Path(folder) / PATTERN.format(digest)
    write_json(file, snapshot)
    os.environ[ENV_VAR] = str(file.absolute())


def load() -> dict[str, Any] | None:
    """Return the snapshot of the run that this job belongs to; None outside a run."""
    path = os.environ.get(ENV_VAR)
    return read_json(Path(path)) if path else None


def newest(folder: Path) -> dict[str, Any] | None:
    """Return the snapshot of the last run that began in a folder; None if none did.

    Raises:
        LtdmError: It is damaged.
    """
    files = sorted(Path(folder).glob(PATTERN.format("*")), key=lambda f: f.lstat().st_mtime)
    if not files:
        return None
    snapshot = read_json(files[-1])
    with explain_read_errors(files[-1], "snapshot of a run"):
        return snapshot | {key: TYPES[key](snapshot[key]) for key in TYPES.keys() & snapshot}
