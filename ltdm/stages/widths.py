"""Tidy rows of a data set -> a metric by the width of the weights' average."""

from collections.abc import Iterable
from pathlib import Path

from ltdm.reporting import style, widths
from ltdm.reporting.rows import read_rows
from ltdm.reporting.tables import called


def run(dataset: str, metric: str, extractor: str, *, tidy: Path, pictures: Iterable[Path]) -> None:
    """Write the figure of a data set.

    Args:
        dataset: Its name.
        metric: What is shown.
        extractor: In which feature space.
        tidy: metrics.csv.
        pictures: Where it goes, each PNG or SVG by its ending.
    """
    style.use()
    rows = read_rows(tidy)
    mine = rows[
        (rows["dataset"] == dataset) & (rows["metric"] == metric) & (rows["features"] == extractor)
    ]
    for path in pictures:
        style.save(widths.by_width(mine, called(metric, extractor), dataset), Path(path))
