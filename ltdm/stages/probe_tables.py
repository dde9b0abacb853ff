"""Rows of all networks' probes -> all of them in one file, and the table of the chosen ones."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.request import Request
from ltdm.reporting.probe import probe_table
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.reporting.writing import write_table


def run(
    request: Request, *, probes: list[Path], tidy: Path, main: Path, others: list[Path]
) -> None:
    """Write every row of `probes` (in the order of the config) to `tidy`, and the table to `main`.

    The table has each run at its chosen level and layer; its other forms, `others`, lie beside it.
    """
    rows = pd.concat([read_rows(path) for path in probes], ignore_index=True)
    write_rows(rows, tidy)
    write_table(probe_table(rows), main.with_suffix(""))
