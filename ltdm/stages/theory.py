"""A sweep's options -> the rows of its metrics, and the networks of its figures."""

from pathlib import Path

from ltdm.plumbing.files import sha256, write_json, write_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request, to_record
from ltdm.reporting.rows import write_rows
from ltdm.theory import lab
from ltdm.theory.options import Sweep


def run(request: Request, *, rows: Path, networks: Path, record: Path) -> None:
    """Run a sweep of the theory lab and write its `rows` (CSV, columns in `ltdm.theory.lab`).

    `networks` (.npz: W, U, A) are those of the first seed. `request` has `spec`, the sweep's
    options that are not at their defaults.

    Raises:
        LtdmError: An equilibrium is badly conditioned, or training diverges.
    """
    result = lab.run(parse(Sweep, request["spec"], ("theory",)))
    write_rows(result.rows, rows)
    write_npz(networks, W=result.W, U=result.U, A=result.A)
    digests = {path.name: sha256(path) for path in (rows, networks)}
    write_json(record, {**to_record(request), "sha256": digests})
