"""Rows of all networks' probes -> one file of all rows, and the table of the chosen ones."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.request import Request
from ltdm.reporting.probe import probe_table
from ltdm.reporting.rows import PROBE_COLUMNS, read_rows, write_rows
from ltdm.reporting.writing import write_table


def run(
    request: Request, *, probes: list[Path], tidy: Path, main: Path, others: list[Path]
) -> None:
    """Write all rows of `probes` (CSV, in the config's order) to `tidy`, and the table to `main`.

    The table has each run at its chosen level and layer. `main` is HTML; `others`, its CSV,
    Markdown and LaTeX, are written beside it under the same name.
    """
    rows = pd.concat([read_rows(path, PROBE_COLUMNS) for path in probes], ignore_index=True)
    write_rows(rows, tidy)
    write_table(probe_table(rows), main.with_suffix(""))
