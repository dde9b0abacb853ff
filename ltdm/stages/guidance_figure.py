"""Tidy rows of a data set -> a figure of a metric by the weight of guidance."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style
from ltdm.reporting.headings import read_metric
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.reporting.sweep_plot import plot_sweep
from ltdm.reporting.sweeps import guidance_frame


def run(
    request: Request, *, tidy: Path, scores: Path | None, pdf: Path, png: Path, csv: Path
) -> None:
    """Write the figure of a data set from metrics.csv, and its numbers.

    `request` has `metric` and `extractor`, which the figure shows, and `where`, the `dataset`. It
    marks the sample sets that are chosen in `scores`, tuning.csv, if there is one.
    """
    style.use()
    (rows, heading), dataset = read_metric(tidy, request), request["where"]["dataset"]
    chosen = None
    if scores:
        table = read_rows(scores, ("dataset", "run", "sample_set", "chosen"))
        chosen = table[table["chosen"] & (table["dataset"] == dataset)][["run", "sample_set"]]
    frame = guidance_frame(rows, chosen, heading)
    write_rows(frame, csv)
    style.save(plot_sweep(frame, dataset), pdf, png)
