"""Rows of all sweeps -> a table for each, and one of what the paper's claims come to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm.plumbing.options import parse
from ltdm.reporting.rows import read_rows
from ltdm.reporting.writing import write_table
from ltdm.theory import findings as claims
from ltdm.theory import reported
from ltdm.theory import tables as theory
from ltdm.theory.options import Sweep


def run(
    request: Mapping[str, Any],
    *,
    rows: Sequence[Path],
    findings: Path,
    tables: Sequence[Path],
    others: Sequence[Path],
) -> None:
    """Write the tables.

    Args:
        request: `specs`, the sweeps' options by name, those at their defaults left out; and `code`.
        rows: What the stage `theory` wrote of each, in the same order.
        findings: Where the findings go in one form.
        tables: Where each sweep's table goes in that form: beside it, `theory-<sweep>`.
        others: Where all of them go in the other forms, beside these.

    Raises:
        LtdmError: Some rows are missing or damaged.
    """
    found: dict[str, tuple[pd.DataFrame, tuple[str, ...]]] = {}
    for (name, spec), file in zip(request["specs"].items(), rows, strict=True):
        sweep = parse(Sweep, spec, ("theory", name))
        mine = read_rows(file)
        found[name] = mine, sweep.figures
        known = reported.FRECHET if sweep.classes.name == reported.CASE else {}
        table = theory.measures(mine, list(sweep.classes.classes), known)
        write_table(table, Path(findings).with_name(f"theory-{name}"))
    write_table(claims.findings(found), Path(findings).with_suffix(""))
