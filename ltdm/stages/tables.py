"""Rows of all metrics -> the tidy table, the main table, and differences from a baseline."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import write_json
from ltdm.plumbing.registry import stage_code
from ltdm.reporting.compare import differences
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.reporting.tables import difference_table, main_table
from ltdm.reporting.writing import WRITERS, write_table

NAMES = ("metrics.csv", "differences.csv", "tables.json",
         *(f"{table}{ending}" for table in ("main", "against") for ending in WRITERS))  # fmt: skip
"""What the stage writes."""


def run(columns: list[str], extractors: list[str], baseline: str, *, metrics: list[Path],
        folder: Path) -> None:  # fmt: skip
    """Write the tables.

    `metrics.csv` holds every row, `differences.csv` every paired difference from the baseline;
    `main` and `against` show some columns of the two, each as CSV, Markdown and LaTeX.
    `tables.json` says what was asked for, by what code.

    Args:
        columns: `metric` or `metric@group`, the columns that are shown.
        extractors: The feature spaces; a column is shown in the first that has it.
        baseline: The run that differences are taken from.
        metrics: Tables of rows, one file a metric and sample set, in the order of the config.
        folder: Where the files of NAMES go.
    """
    rows = pd.concat([read_rows(path) for path in metrics], ignore_index=True)
    write_rows(rows, Path(folder) / "metrics.csv")
    write_rows(differences(rows, baseline), Path(folder) / "differences.csv")
    places = {name: i for i, name in enumerate(extractors)}
    order = rows["features"].map(places).fillna(len(places))  # pixels may be no extractor
    rows = rows.iloc[order.argsort(kind="stable")]
    write_table(main_table(rows, columns), Path(folder) / "main")
    write_table(difference_table(rows, columns, baseline), Path(folder) / "against")
    asked = {"columns": columns, "extractors": extractors, "baseline": baseline}
    write_json(Path(folder) / "tables.json", {**asked, "code": stage_code("tables")})
