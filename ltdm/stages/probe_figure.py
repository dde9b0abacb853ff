"""All rows of the linear probe -> a data set's heat maps over levels and layers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltdm.reporting import style
from ltdm.reporting.heat_maps import heat_maps
from ltdm.reporting.rows import read_rows


def run(request: Mapping[str, Any], *, tidy: Path, png: Path, svg: Path) -> None:
    """Write the figure of a data set.

    Args:
        request: `code`; and `where`, the `dataset`.
        tidy: All networks' rows.
        png: Where it goes.
        svg: Where it goes as well.

    Raises:
        LtdmError: The rows are missing or damaged.
    """
    style.use()
    rows, dataset = read_rows(tidy), request["where"]["dataset"]
    mine = rows[(rows["dataset"] == dataset) & (rows["group"] == "all")]
    for picture in (png, svg):
        style.save(heat_maps(mine, f"{dataset}: linear probe"), Path(picture))
