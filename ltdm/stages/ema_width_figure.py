"""Tidy rows of a data set -> a figure of a metric by the width of the post-hoc EMA."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style, sweeps
from ltdm.reporting.headings import read_metric


def run(request: Request, *, tidy: Path, png: Path, svg: Path) -> None:
    """Write the figure of a data set from metrics.csv.

    `request` has `metric` and `extractor`, which the figure shows, and `where`, the `dataset`.
    """
    style.use()
    rows, name = read_metric(tidy, request)
    for path in (png, svg):
        style.save(sweeps.plot_by_width(rows, name, request["where"]["dataset"]), path)
