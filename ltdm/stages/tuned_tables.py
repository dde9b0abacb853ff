"""Scores against both halves of the reference -> the table of each run's best sample set."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.request import Request
from ltdm.reporting.rows import SCORE_COLUMNS, read_rows, write_rows
from ltdm.reporting.tables import order_by_extractor
from ltdm.reporting.tuned import mark_chosen, tuned_table
from ltdm.reporting.writing import write_table


def run(
    request: Request,
    *,
    tidy: Path,
    tuning: list[Path],
    scores: Path,
    main: Path,
    others: list[Path],
) -> None:
    """Choose a sample set for each run; write what it was chosen by to `scores`, and the table.

    `tidy` is metrics.csv, against the reporting half; `tuning` are the rows against the other half,
    in the config's order. `main` is HTML; `others`, its CSV, Markdown and LaTeX, are written beside
    it.

    `request` has `columns` and `extractors`, as in the stage `tables`; the first column chooses.
    """
    columns = request["columns"]
    parts = [read_rows(path, SCORE_COLUMNS) for path in tuning]
    chosen = mark_chosen(pd.concat(parts, ignore_index=True), columns[0])
    write_rows(chosen, scores)
    rows = order_by_extractor(read_rows(tidy, SCORE_COLUMNS), request["extractors"])
    write_table(tuned_table(rows, chosen, columns), main.with_suffix(""))
