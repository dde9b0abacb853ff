"""Rows of all linear probes -> a data set's heat maps over noise levels and layers."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style
from ltdm.reporting.heat_maps import plot_heat_maps
from ltdm.reporting.probe import probe_frame
from ltdm.reporting.rows import PROBE_COLUMNS, read_rows, write_rows


def run(request: Request, *, tidy: Path, pdf: Path, png: Path, csv: Path) -> None:
    """Write a figure of all networks on one data set, which `request["where"]["dataset"]` names."""
    style.use()
    rows, dataset = read_rows(tidy, PROBE_COLUMNS), request["where"]["dataset"]
    frame = probe_frame(rows[rows["dataset"] == dataset])
    write_rows(frame, csv)
    style.save(plot_heat_maps(frame, dataset), pdf, png)
