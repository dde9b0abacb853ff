"""Tidy rows of a data set -> a figure of a metric by the width of the post-hoc EMA."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style, widths
from ltdm.reporting.rows import SCORE_COLUMNS, read_rows
from ltdm.reporting.tables import display_name


def run(request: Request, *, tidy: Path, png: Path, svg: Path) -> None:
    """Write the figure of a data set from metrics.csv.

    `request` has `metric` and `extractor`, which the figure shows, and `where`, the `dataset`.
    """
    style.use()
    rows, dataset = read_rows(tidy, SCORE_COLUMNS), request["where"]["dataset"]
    metric, extractor = request["metric"], request["extractor"]
    mask = (rows["metric"] == metric) & (rows["extractor"] == extractor)
    rows = rows[mask & (rows["dataset"] == dataset)]
    name = display_name(metric, extractor, rows)
    for path in (png, svg):
        style.save(widths.plot_by_width(rows, name, dataset), path)
