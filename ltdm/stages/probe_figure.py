"""Rows of all linear probes -> a data set's heat maps over noise levels and layers."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style
from ltdm.reporting.heat_maps import plot_heat_maps
from ltdm.reporting.rows import PROBE_COLUMNS, read_rows


def run(request: Request, *, tidy: Path, png: Path, svg: Path) -> None:
    """Write a figure of all networks on one data set, which `request["where"]["dataset"]` names."""
    style.use()
    rows, dataset = read_rows(tidy, PROBE_COLUMNS), request["where"]["dataset"]
    overall = rows[(rows["dataset"] == dataset) & (rows["group"] == "all")]
    for picture in (png, svg):
        style.save(plot_heat_maps(overall, f"{dataset}: linear probe"), picture)
