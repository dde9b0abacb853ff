"""Tidy rows of a data set -> a figure of a metric by the width of the post-hoc EMA."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style
from ltdm.reporting.headings import read_metric
from ltdm.reporting.rows import write_rows
from ltdm.reporting.sweep_plot import plot_sweep
from ltdm.reporting.sweeps import width_frame


def run(request: Request, *, tidy: Path, pdf: Path, png: Path, csv: Path) -> None:
    """Write the figure of a data set from metrics.csv, and its numbers.

    `request` has `metric` and `extractor`, which the figure shows, and `where`, the `dataset`.
    """
    style.use()
    frame = width_frame(*read_metric(tidy, request))
    write_rows(frame, csv)
    style.save(plot_sweep(frame, request["where"]["dataset"]), pdf, png)
