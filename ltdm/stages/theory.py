"""A sweep's options -> rows of all that is measured, and the networks that its figures show."""

from pathlib import Path
from typing import Any

from ltdm.plumbing.files import read_json, sha256, write_json, write_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.registry import stage_code
from ltdm.reporting.rows import write_rows
from ltdm.theory import lab
from ltdm.theory.options import Sweep

ENDINGS = (".csv", ".npz", ".json")
"""Of a sweep's files: its rows, networks and record."""


def run(spec: dict[str, Any], *, rows: Path, networks: Path, record: Path) -> None:
    """Run a sweep of the theory lab.

    Args:
        spec: Its options that are not at their defaults, as the config has them.
        rows: Where the rows go (CSV); `ltdm.theory.lab` says what they are.
        networks: Where the first seed's networks go (.npz: W, U, A).
        record: Where a record goes of what was asked for, by what code.

    Raises:
        LtdmError: An equilibrium is badly conditioned, or training leads away from it.
    """
    sweep = parse(Sweep, spec, ("theory",))
    found = lab.run(sweep)
    write_rows(found.rows, rows)
    write_npz(networks, W=found.W, U=found.U, A=found.A)
    digests = {Path(p).name: sha256(p) for p in (rows, networks)}
    write_json(record, {**asked(sweep), "sha256": digests})


def asked(sweep: Sweep) -> dict[str, Any]:
    """Return what the record of a sweep says of what it was made from."""
    return {"spec": sweep.spec(), "code": stage_code("theory", *sweep.samplers)}


def finished(sweep: Sweep, rows: Path) -> bool:
    """Whether all that is made of a sweep is there, of these options and this code."""
    files = [rows.with_suffix(ending) for ending in ENDINGS]
    made = read_json(files[-1]) if all(file.exists() for file in files) else {}
    return asked(sweep).items() <= made.items()
