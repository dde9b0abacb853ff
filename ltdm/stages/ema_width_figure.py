"""Tidy rows of a data set -> a metric by the width of the weights' average."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style, widths
from ltdm.reporting.rows import read_rows
from ltdm.reporting.tables import called


def run(request: Request, *, tidy: Path, png: Path, svg: Path) -> None:
    """Write the figure of a data set from metrics.csv.

    `request` has `metric`, what is shown; `extractor`, in which feature space; and `where`, the
    `dataset`.
    """
    style.use()
    rows, dataset = read_rows(tidy), request["where"]["dataset"]
    metric, extractor = request["metric"], request["extractor"]
    of_space = (rows["metric"] == metric) & (rows["features"] == extractor)
    mine = rows[(rows["dataset"] == dataset) & of_space]
    for path in (png, svg):
        style.save(widths.by_width(mine, called(metric, extractor), dataset), path)
