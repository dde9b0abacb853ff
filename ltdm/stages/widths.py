"""Tidy rows of a data set -> a metric by the width of the weights' average."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltdm.reporting import style, widths
from ltdm.reporting.rows import read_rows
from ltdm.reporting.tables import called


def run(request: Mapping[str, Any], *, tidy: Path, png: Path, svg: Path) -> None:
    """Write the figure of a data set.

    Args:
        request: `metric`, what is shown; `extractor`, in which feature space; `code`; and `where`,
            the `dataset`.
        tidy: metrics.csv.
        png: Where it goes.
        svg: Where it goes as well.

    Raises:
        LtdmError: The rows are missing or damaged.
    """
    style.use()
    metric, extractor = request["metric"], request["extractor"]
    dataset = request["where"]["dataset"]
    rows = read_rows(tidy)
    mine = rows[
        (rows["dataset"] == dataset) & (rows["metric"] == metric) & (rows["features"] == extractor)
    ]
    for path in (png, svg):
        style.save(widths.by_width(mine, called(metric, extractor), dataset), Path(path))
