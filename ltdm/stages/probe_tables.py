"""Rows of all networks' probes -> all of them in one file, and the table of the chosen ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm.reporting.probe import table
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.reporting.writing import write_table


def run(
    request: Mapping[str, Any],
    *,
    probes: Sequence[Path],
    tidy: Path,
    main: Path,
    others: Sequence[Path],
) -> None:
    """Write the tables: every row, and each run at its chosen level and layer.

    Args:
        request: `code`; nothing is to be chosen.
        probes: probe.csv of each network, in the order of the config.
        tidy: Where all rows go.
        main: Where the table goes in one form.
        others: Where it goes in the others, beside that.

    Raises:
        LtdmError: Some rows are missing or damaged.
    """
    rows = pd.concat([read_rows(path) for path in probes], ignore_index=True)
    write_rows(rows, tidy)
    write_table(table(rows), Path(main).with_suffix(""))
