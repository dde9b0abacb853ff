"""Tidy rows of a data set -> a metric by the width of the weights' average."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style, widths
from ltdm.reporting.rows import read_rows
from ltdm.reporting.tables import display_name


def run(request: Request, *, tidy: Path, png: Path, svg: Path) -> None:
    """Write the figure of a data set from metrics.csv.

    `request` has `metric`, what is shown; `extractor`, in which feature space; and `where`, the
    `dataset`.
    """
    style.use()
    rows, dataset = read_rows(tidy), request["where"]["dataset"]
    metric, extractor = request["metric"], request["extractor"]
    of_metric = (rows["metric"] == metric) & (rows["extractor"] == extractor)
    of_dataset = rows[(rows["dataset"] == dataset) & of_metric]
    for path in (png, svg):
        style.save(widths.plot_by_width(of_dataset, display_name(metric, extractor), dataset), path)
