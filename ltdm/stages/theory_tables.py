"""Rows of all sweeps -> a table for each, and one of what the paper's claims come to."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request
from ltdm.reporting.rows import read_rows
from ltdm.reporting.writing import write_table
from ltdm.theory import findings as claims
from ltdm.theory import reported
from ltdm.theory import tables as theory
from ltdm.theory.options import Sweep


def run(
    request: Request, *, rows: list[Path], findings: Path, tables: list[Path], others: list[Path]
) -> None:
    """Write `findings`, and beside it each sweep's table, `theory-<sweep>`, in all forms.

    `request` has `specs`, the sweeps' options by name, those at their defaults left out; `rows` are
    what the stage `theory` wrote of each, in the same order.
    """
    found: dict[str, tuple[pd.DataFrame, tuple[str, ...]]] = {}
    for (name, spec), file in zip(request["specs"].items(), rows, strict=True):
        sweep = parse(Sweep, spec, ("theory", name))
        mine = read_rows(file)
        found[name] = mine, sweep.figures
        known = reported.FRECHET if sweep.classes.name == reported.CASE else {}
        table = theory.measures(mine, list(sweep.classes.classes), known)
        write_table(table, findings.with_name(f"theory-{name}"))
    write_table(claims.findings(found), findings.with_suffix(""))
