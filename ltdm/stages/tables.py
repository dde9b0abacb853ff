"""Rows of all metrics -> the tidy table and the main table."""

from pathlib import Path

import pandas as pd

from ltdm.files import reading, write_json, write_text, writing
from ltdm.registry import stage_code
from ltdm.reporting.tables import main_table, to_csv, to_latex, to_markdown


def run(columns: list[str], extractor: str, *, metrics: list[Path], tidy: Path,
        csv: Path, markdown: Path, latex: Path, record: Path) -> None:  # fmt: skip
    """Write every row to `tidy`, and the main table in three forms.

    Args:
        columns: `metric` or `metric@group`, the columns of the main table.
        extractor: The feature space of the main table.
        metrics: Tables of rows, one file a metric and sample set, in the order of the config.
        tidy: Where all rows go.
        csv: Where the main table goes as numbers.
        markdown: ... for a README.
        latex: ... for a paper.
        record: Where tables.json goes: what was asked for, by what code.
    """
    frames = []
    for path in metrics:
        with reading(path):
            frames.append(pd.read_csv(path))
    rows = pd.concat(frames, ignore_index=True)
    with writing(tidy) as temporary:
        rows.to_csv(temporary, index=False)
    table = main_table(rows[rows["features"] == extractor], columns)
    write_text(csv, to_csv(table))
    write_text(markdown, to_markdown(table))
    write_text(latex, to_latex(table))
    write_json(record, {"columns": columns, "extractor": extractor, "code": stage_code("tables")})
