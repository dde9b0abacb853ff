"""Names of table columns: `metric`, `metric@group`, and either with `:baseline`."""

from typing import NamedTuple

BASELINE = ":baseline"


class ColumnName(NamedTuple):
    """What a column of a table shows."""

    metric: str  # with its part's label where it has one: `recall`, `pr5.recall`
    group: str  # of classes; empty where none is named, which means all
    baseline: bool  # the metric's baseline, what real images would get, in place of its value


def parse_column(name: str) -> ColumnName:
    """Split a column's name."""
    metric, _, group = name.removesuffix(BASELINE).partition("@")
    return ColumnName(metric, group, name.endswith(BASELINE))
