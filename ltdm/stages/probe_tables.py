"""Rows of all networks' probes -> all of them in one file, and the table of the chosen ones."""

from pathlib import Path

import pandas as pd

from ltdm.reporting.probe import table
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.reporting.writing import WRITERS, write_table

ALL = "probe-all.csv"
NAMES = (ALL, *(f"probe{ending}" for ending in WRITERS))
"""What the stage writes."""


def run(*, probes: list[Path], folder: Path) -> None:
    """Write the tables: every row, and each run at its chosen level and layer.

    Args:
        probes: probe.csv of each network, in the order of the config.
        folder: Where the files of NAMES go.
    """
    rows = pd.concat([read_rows(path) for path in probes], ignore_index=True)
    write_rows(rows, Path(folder) / ALL)
    write_table(table(rows), Path(folder) / "probe")
