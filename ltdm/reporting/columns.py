"""Names of table columns: `metric` or `metric@group`, either followed by `:baseline`."""

from typing import NamedTuple

BASELINE = ":baseline"


class ColumnName(NamedTuple):
    """Parts of a column's name."""

    metric: str  # `recall`, or `pr5.recall` for a metric with a label
    group: str  # of classes; empty if not given, which means all
    baseline: bool  # whether the column shows the metric's baseline instead of its value


def parse_column(name: str) -> ColumnName:
    """Split a column's name into its parts."""
    metric, _, group = name.removesuffix(BASELINE).partition("@")
    return ColumnName(metric, group, name.endswith(BASELINE))
