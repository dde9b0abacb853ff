"""All rows of the linear probe -> a data set's heat maps over levels and layers."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style
from ltdm.reporting.heat_maps import plot_heat_maps
from ltdm.reporting.rows import read_rows


def run(request: Request, *, tidy: Path, png: Path, svg: Path) -> None:
    """Write the figure of the `dataset` that `request["where"]` names, from all networks' rows."""
    style.use()
    rows, dataset = read_rows(tidy), request["where"]["dataset"]
    mine = rows[(rows["dataset"] == dataset) & (rows["group"] == "all")]
    for picture in (png, svg):
        style.save(plot_heat_maps(mine, f"{dataset}: linear probe"), picture)
