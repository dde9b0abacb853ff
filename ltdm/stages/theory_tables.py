"""Rows of all sweeps -> a table for each, and one of what the paper's claims come to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm.plumbing.options import parse
from ltdm.reporting.rows import read_rows
from ltdm.reporting.writing import WRITERS, write_table
from ltdm.theory import findings, reported
from ltdm.theory import tables as theory
from ltdm.theory.options import Sweep

FINDINGS = "theory"


def names(sweeps: list[str]) -> list[str]:
    """Return what the stage writes."""
    tables = [FINDINGS, *(f"theory-{sweep}" for sweep in sweeps)]
    return [f"{table}{ending}" for table in tables for ending in WRITERS]


def run(specs: Mapping[str, dict[str, Any]], *, rows: Mapping[str, Path], folder: Path) -> None:
    """Write the tables.

    Args:
        specs: The sweeps' options by name, those at their defaults left out.
        rows: What the stage `theory` wrote of each.
        folder: Where the files of `names` go.
    """
    found: dict[str, tuple[pd.DataFrame, tuple[str, ...]]] = {}
    for name, spec in specs.items():
        sweep = parse(Sweep, spec, ("theory", name))
        mine = read_rows(rows[name])
        found[name] = mine, sweep.figures
        known = reported.FRECHET if sweep.classes.name == reported.CASE else {}
        table = theory.measures(mine, list(sweep.classes.classes), known)
        write_table(table, Path(folder) / f"theory-{name}")
    write_table(findings.findings(found), Path(folder) / FINDINGS)
