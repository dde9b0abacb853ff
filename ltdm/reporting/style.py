"""Style of figures, and their files."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from ltdm.plumbing.files import atomic_write

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
STYLE = {
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(linestyle=["-", "--"]) * cycler(color=COLOURS),
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "ltdm",
}


def use() -> None:
    """Set the project's style for all further figures."""
    plt.style.use(STYLE)


def save(figure: Figure, path: Path) -> None:
    """Write a figure and close it; without a date, so equal figures have equal bytes."""
    file_format = path.suffix[1:]
    metadata = {"Date": None} if file_format == "svg" else {"Software": None}
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=file_format, metadata=metadata)
    plt.close(figure)
