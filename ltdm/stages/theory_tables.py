"""Rows of all sweeps -> a table of each, and one that tests the paper's claims on all."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request
from ltdm.reporting.rows import THEORY_COLUMNS, read_rows
from ltdm.reporting.writing import write_table
from ltdm.theory import findings as claims
from ltdm.theory import reported
from ltdm.theory import tables as theory
from ltdm.theory.options import Sweep


def run(
    request: Request, *, rows: list[Path], findings: Path, tables: list[Path], others: list[Path]
) -> None:
    """Write `findings`, and beside it each sweep's table, `theory-<sweep>`, in all formats.

    `request` has `specs`, the options of each sweep by its name, without those at their defaults;
    `rows` are the files of the stage `theory`, in the same order.
    """
    sweeps: dict[str, tuple[pd.DataFrame, tuple[str, ...]]] = {}
    for (name, spec), file in zip(request["specs"].items(), rows, strict=True):
        sweep = parse(Sweep, spec, ("theory", name))
        sweep_rows = read_rows(file, THEORY_COLUMNS)
        sweeps[name] = sweep_rows, sweep.figures
        reported_distances = reported.FRECHET if sweep.classes.name == reported.MIXTURE_NAME else {}
        table = theory.metrics_table(sweep_rows, list(sweep.classes.classes), reported_distances)
        write_table(table, findings.with_name(f"theory-{name}"))
    write_table(claims.findings_table(sweeps), findings.with_suffix(""))
