"""All rows of the linear probe -> a data set's heat maps over levels and layers."""

from collections.abc import Iterable
from pathlib import Path

from ltdm.reporting import style
from ltdm.reporting.heat_maps import heat_maps
from ltdm.reporting.rows import read_rows


def run(dataset: str, *, tidy: Path, pictures: Iterable[Path]) -> None:
    """Write the figure to each of `pictures` (PNG or SVG by its ending).

    Args:
        dataset: Its name.
        tidy: All networks' rows.
        pictures: Where the figure goes.
    """
    style.use()
    rows = read_rows(tidy)
    mine = rows[(rows["dataset"] == dataset) & (rows["group"] == "all")]
    for picture in pictures:
        style.save(heat_maps(mine, f"{dataset}: linear probe"), Path(picture))
