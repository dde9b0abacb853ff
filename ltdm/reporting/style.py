"""Style of figures for print, and their files."""

import logging
import re
import textwrap
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from ltdm.plumbing.errors import shorten
from ltdm.plumbing.files import atomic_write
from ltdm.reporting.escapes import escape_label

log = logging.getLogger("ltdm")
ONE_COLUMN, TWO_COLUMNS = 3.3, 6.9  # widths of figures in a paper, inches
SMALL = 6  # size of numbers within a plot, points; all other text has 7 or 8
PICTURE_DPI = 160  # of pictures of images and points
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
GREY = "#888888"
LINES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>P"
MAX_LEGEND_COLUMNS = 6
MISSING_GLYPH = r"Glyph (\d+) "
"""The start of a warning that Matplotlib gives each time it draws."""
STYLE = {
    "figure.dpi": 300,
    "figure.constrained_layout.use": True,
    "savefig.dpi": "figure",
    "pdf.fonttype": 42,  # TrueType, which journals ask for
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "figure.titlesize": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}


def use() -> None:
    """Set the project's style for all further figures."""
    plt.style.use(STYLE)


def line_looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return colour, line style and marker of each line by name; up to 56 lines look different."""
    return {
        name: {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": LINES[number // len(COLOURS) % len(LINES)],
            "marker": MARKERS[number % len(MARKERS)],
        }
        for number, name in enumerate(dict.fromkeys(names))
    }


def fill_band(axes: Axes, line: Any, low: Any, high: Any) -> None:
    """Fill the band of a line, in its colour; bands of many lines remain distinct."""
    x = line.get_xdata()
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def add_legend(
    figure: Figure, handles: Iterable[Artist], labels: Iterable[str], **options: Any
) -> None:
    """Add a legend below the panels, in as many columns as fit; it adds its height to the figure.

    So it hides no data, and the panels keep their size. Labels wider than the figure are wrapped.
    `options` are those of Matplotlib's legend.
    """
    handles, labels = list(handles), list(labels)
    if not labels:  # of points without classes
        return
    options = {"loc": "outside lower center", "columnspacing": 1.2, **options}
    for columns in range(min(len(labels), MAX_LEGEND_COLUMNS), 0, -1):
        legend = figure.legend(handles, labels, ncols=columns, **options)
        extent, width = legend.get_window_extent(), figure.bbox.width
        if extent.width <= width:
            break
        legend.remove()
    else:
        characters = int(max(map(len, labels)) * width / extent.width) - 4
        wrapped = [textwrap.fill(label, characters) for label in labels]
        extent = figure.legend(handles, wrapped, **options).get_window_extent()
    inches, height = figure.get_size_inches()
    figure.set_size_inches(inches, height + extent.height / figure.dpi)


def add_note(axes: Axes, text: str) -> None:
    """Write a note in the middle of axes without data."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])


def short_title(name: str, text: str) -> str:
    """Return a title, of a data set's name and a text."""
    return f"{escape_label(name)}: {text}"


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure to each path and close it; without a date, so equal figures have equal bytes.

    The suffixes are .pdf and .png.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", MISSING_GLYPH)
        for path in paths:
            file_format = path.suffix[1:]
            metadata = {"CreationDate": None} if file_format == "pdf" else {"Software": None}
            with atomic_write(path) as temporary:
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
            paths[0],
            shorten(sorted(missing), 9),
        )
