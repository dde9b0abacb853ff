"""What a run of the workflow was asked for when it began: its jobs hold on to that.

Snakemake's jobs read the config when they start, which may be days after the run did. So the run
writes what it read beside the results, and its jobs read that.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, write_json

ENV_VAR = "LTDM_RUN_SNAPSHOT"
PATTERN = "run-{}.json"


def save(folder: Path, snapshot: Mapping[str, Any]) -> None:
    """Write what is asked for, and let all jobs that start from this process read it.

    That is the merged `config`, its `site`, whether jobs are submitted to a `cluster`, the `codes`
    (digests) that each rule's jobs are to run, and the `networks` (data set, run, seed),
    `sample_sets` and `metrics` that will be there.
    """
    digest = hashlib.sha256(json.dumps(snapshot, sort_keys=True).encode()).hexdigest()[:16]
    file = Path(folder) / PATTERN.format(digest)
    write_json(file, snapshot)
    os.environ[ENV_VAR] = str(file.resolve())


def load() -> dict[str, Any] | None:
    """Return what the run that this job belongs to was asked for; None outside one."""
    path = os.environ.get(ENV_VAR)
    return read_json(Path(path)) if path else None


def check_code(rule: str, code: str) -> None:
    """Refuse code that is not what the run began with: Snakemake's notes would be of other code."""
    snapshot = load()
    if snapshot and code not in snapshot["codes"].get(rule, [code]):
        raise LtdmError(
            f"the code behind the rule {rule} has changed since this run of snakemake began; start"
            " snakemake again, which then runs the new code"
        )


def newest(folder: Path) -> dict[str, Any] | None:
    """Return what the last run that began in a folder was asked for, if one did."""
    files = sorted(Path(folder).glob(PATTERN.format("*")), key=lambda f: f.stat().st_mtime)
    return read_json(files[-1]) if files else None
