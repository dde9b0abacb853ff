"""Tidy rows of a data set -> a figure of a metric by the weight of guidance."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style, sweeps
from ltdm.reporting.headings import read_metric
from ltdm.reporting.rows import read_rows


def run(request: Request, *, tidy: Path, scores: Path | None, png: Path, svg: Path) -> None:
    """Write the figure of a data set from metrics.csv.

    `request` has `metric` and `extractor`, which the figure shows, and `where`, the `dataset`. It
    marks the sample sets that are chosen in `scores`, tuning.csv, if there is one.
    """
    style.use()
    (rows, name), dataset, chosen = read_metric(tidy, request), request["where"]["dataset"], None
    if scores:
        table = read_rows(scores, ("dataset", "run", "sample_set", "chosen"))
        chosen = table[table["chosen"] & (table["dataset"] == dataset)][["run", "sample_set"]]
    for path in (png, svg):
        style.save(sweeps.plot_by_guidance(rows, chosen, name, dataset), path)
