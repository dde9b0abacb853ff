"""Tables as HTML documents, which sort by a click."""

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltdm.reporting.cells import Cell, DifferenceCell
from ltdm.reporting.tables import Table, table_lines

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def to_html(table: Table, title: str) -> str:
    """Return the table as an HTML document of one file; a cell shows its numbers on hover.

    Each data set has a body of its own, within which rows are sorted.
    """
    names = list(table.cells.index.names)
    parts: dict[str, list[dict[str, Any]]] = {}  # rows by data set
    for values, cells in table_lines(table):
        labels = dict(zip(names, map(_label_text, values), strict=True))
        row = {"labels": labels, "cells": [_cell_values(cell) for cell in cells]}
        parts.setdefault(labels.get("dataset", ""), []).append(row)
    return render(
        "table.html",
        title=title,
        labels=names,
        headings=list(table.cells.columns),
        parts=parts.values(),
        legend=table.legend,
        style=asset("style.css"),
        script=asset("tables.js"),
    )


def render(template: str, **values: Any) -> str:
    """Return a template of this package with its values filled in, escaped unless it says safe."""
    return _environment().get_template(template).render(values)


def asset(name: str) -> str:
    """Return a style sheet or a script of this package."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> "Environment":
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    undefined = jinja2.StrictUndefined
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=undefined)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # browsers refuse NaN
    return environment


def _label_text(label: object) -> str:
    return "" if isinstance(label, float) and math.isnan(label) else str(label)


def _cell_values(cell: Cell | DifferenceCell) -> dict[str, Any]:
    """Return what the template shows of a cell; `value` is what it sorts by."""
    value = cell.csv_values()[""]
    return {
        "text": cell.to_text(),
        "value": "" if math.isnan(value) else f"{value:.6g}",
        "best": cell.best,
        "detail": cell.detail(),
    }
