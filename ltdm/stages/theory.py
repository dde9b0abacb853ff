"""A sweep's options -> rows of all that is measured, and the networks that its figures show."""

from pathlib import Path

from ltdm.plumbing.files import sha256, write_json, write_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request, to_record
from ltdm.reporting.rows import write_rows
from ltdm.theory import lab
from ltdm.theory.options import Sweep


def run(request: Request, *, rows: Path, networks: Path, record: Path) -> None:
    """Run a sweep of the theory lab: `rows` (CSV) are those of `ltdm.theory.lab`.

    `networks` are the first seed's (.npz: W, U, A). `request` has `spec`, the sweep's options that
    are not at their defaults.

    Raises:
        LtdmError: An equilibrium is badly conditioned, or training leads away from it.
    """
    found = lab.run(parse(Sweep, request["spec"], ("theory",)))
    write_rows(found.rows, rows)
    write_npz(networks, W=found.W, U=found.U, A=found.A)
    digests = {path.name: sha256(path) for path in (rows, networks)}
    write_json(record, {**to_record(request), "sha256": digests})
