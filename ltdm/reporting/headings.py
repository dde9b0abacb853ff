"""Headings of columns: the names of metrics with the options that they show."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd

from ltdm.plumbing.registry import module_name, part_names
from ltdm.plumbing.request import Request
from ltdm.reporting.columns import parse_column
from ltdm.reporting.rows import SCORE_COLUMNS, read_rows

INCEPTION_NAMES = {
    "frechet": "FID",
    "frechet-infinity": "FID\u221e",
    "kid": "KID",
    "inception-score": "IS",
}
"""Names that values have only with the Inception features."""


def display_name(column: str, extractor: str, rows: pd.DataFrame) -> str:
    """Return the heading of a column, by its name: FID (tail) for `frechet@tail` of `inception`.

    The options that the metric shows, as in `recall (k = 5, tail)`, are those of the tidy `rows` of
    this column. If there is none, no option is shown.
    """
    metric, group, baseline = parse_column(column)
    label, name = _split_label(metric)
    details = [*_heading_options(_modules()[name], rows), *([group] if group else [])]
    if extractor == "inception":
        name = INCEPTION_NAMES.get(name, name)
    text = (f"{label}.{name}" if label else name) + " baseline" * baseline
    return f"{text} ({', '.join(details)})" if details else text


def read_metric(tidy: Path, request: Request) -> tuple[pd.DataFrame, str]:
    """Return rows of metrics.csv, and the metric's name for a figure.

    They are those of the `metric` and `extractor` of a request, and of the data set in `where`.
    """
    rows, metric, extractor = (
        read_rows(tidy, SCORE_COLUMNS),
        request["metric"],
        request["extractor"],
    )
    mask = rows["dataset"] == request["where"]["dataset"]
    rows = rows[mask & (rows["metric"] == metric) & (rows["extractor"] == extractor)]
    return rows, display_name(metric, extractor, rows)


def _heading_options(module: ModuleType, rows: pd.DataFrame) -> list[str]:
    """Return a metric's options in headings, `k = 5`; rows do not state those at their defaults."""
    if rows.empty:
        return []
    stated = dict(re.findall(r"(\w+)=([^,]*)", rows["options"].iloc[0]))
    shown = getattr(module, "HEADING_OPTIONS", ())
    return [f"{name} = {stated.get(name, getattr(module.Options, name))}" for name in shown]


def _modules() -> dict[str, ModuleType]:
    """Return the module of each value that a metric has."""
    modules = (import_module(module_name("metric", name)) for name in part_names("metric"))
    return {name: module for module in modules for name in module.HIGHER_IS_BETTER}


def _split_label(metric: str) -> tuple[str, str]:
    """Split `pr5.recall` into label and value name; the name may have a dot, as `mq-0.40` has."""
    if metric in _modules():
        return "", metric
    label, _, name = metric.partition(".")
    return label, name


def higher_is_better(metric: str) -> bool | None:
    """Return whether a higher value of a metric, `recall` or `pr5.recall`, is better, if either."""
    name = _split_label(metric)[1]
    return _modules()[name].HIGHER_IS_BETTER[name]
