"""Rows of all metrics -> the tidy table, the main table, and differences from a baseline."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import write_json
from ltdm.plumbing.request import Request, to_record
from ltdm.reporting import compare
from ltdm.reporting.rows import SCORE_COLUMNS, read_rows, write_rows
from ltdm.reporting.tables import difference_table, main_table, order_by_extractor
from ltdm.reporting.writing import write_table


def run(
    request: Request,
    *,
    metrics: list[Path],
    tidy: Path,
    differences: Path,
    main: Path,
    vs_baseline: Path,
    others: list[Path],
    record: Path,
) -> None:
    """Write all rows of `metrics` (in the order of the config) to `tidy`, and the tables.

    `differences` has all paired differences from the baseline. `main` and `vs_baseline` are the
    tables of values and of differences as HTML; `others` are CSV, Markdown and LaTeX, in the same
    folder.

    `request` has `columns`, the names of the tables' columns (reporting/columns.py); `extractors`,
    in the order in which a column looks for its metric; and `baseline`, the run that differences
    are taken from.
    """
    columns, baseline = request["columns"], request["baseline"]
    rows = pd.concat([read_rows(path, SCORE_COLUMNS) for path in metrics], ignore_index=True)
    write_rows(rows, tidy)
    write_rows(compare.differences(rows, baseline), differences)
    rows = order_by_extractor(rows, request["extractors"])
    write_table(main_table(rows, columns), main.with_suffix(""))
    write_table(difference_table(rows, columns, baseline), vs_baseline.with_suffix(""))
    write_json(record, to_record(request))
