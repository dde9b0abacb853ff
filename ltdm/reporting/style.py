"""Style of figures, and their files."""

import logging
import re
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from ltdm.plumbing.errors import shorten
from ltdm.plumbing.files import atomic_write

log = logging.getLogger("ltdm")
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
MISSING_GLYPH = r"Glyph (\d+) "
"""The start of a warning that Matplotlib gives each time it draws."""
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
    with atomic_write(path) as temporary, warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", MISSING_GLYPH)
        figure.savefig(temporary, format=file_format, metadata=metadata)
    plt.close(figure)
    missing = set()
    for w in caught:
        if found := re.match(MISSING_GLYPH, str(w.message)):
            missing.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
    if missing:
        log.warning(
            "%s has boxes for signs that its font lacks, %s; to see them, name a font that has them"
            " as font.family in a file matplotlibrc",
            path,
            shorten(sorted(missing), 9),
        )
