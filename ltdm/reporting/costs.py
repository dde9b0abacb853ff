"""The numbers behind the plot of quality against the cost of training.

The cost is counted in forward passes of one image through the network. A backward pass counts as
two, and passes through the encoder or the decoder alone by their share of the operations.
"""

import math

import numpy as np
import pandas as pd

from ltdm.reporting.frames import mean_and_band
from ltdm.reporting.tables import select_column

TRAINING_COLUMNS = ["run", "seed", "forward_equivalents", "hours", "device"]
"""Columns of the costs of trainings (training/spent.py)."""
COLUMNS = ["run", "sample_set", "column", "higher_is_better", "value", "low", "high"]
COLUMNS += ["forward_equivalents", "hours", "device", "on_front"]


def cost_frame(rows: pd.DataFrame, column: str, trainings: pd.DataFrame) -> pd.DataFrame:
    """Return each run's value of a column of the main table beside what its training cost.

    Costs are means over seeds, and so is `value`, with its band (`mean_and_band`). A run is
    `on_front`, the Pareto front, if no other run is at least as cheap and better; never without a
    value or a cost, as of an imported network.

    Args:
        rows: Tidy rows of one data set and one sample set per run, in the config's order of
            extractors.
        column: The column's name (reporting/columns.py).
        trainings: A row per network, with TRAINING_COLUMNS; empty where something is not known.
    """
    selected = select_column(rows, column)
    values = mean_and_band(selected.rows, ["run", "sample_set"])
    by_run = trainings.groupby("run", sort=False)
    costs = by_run[["forward_equivalents", "hours"]].mean()
    costs["device"] = by_run["device"].agg(lambda names: "; ".join(dict.fromkeys(names.dropna())))
    frame = values.merge(costs.reset_index(), how="left", on="run")
    front = _find_front(frame["forward_equivalents"], frame["value"], selected.up)
    up = pd.Series([selected.up] * len(frame), dtype=object)
    return frame.assign(column=selected.name, higher_is_better=up, on_front=front)[COLUMNS]


def _find_front(costs: pd.Series, values: pd.Series, up: bool | None) -> list[bool]:
    """Return which points no other one beats at the same cost or less."""
    if up is None:
        return [False] * len(costs)
    quality = values if up else -values
    return [
        math.isfinite(cost + own) and not bool(np.any((costs <= cost) & (quality > own)))
        for cost, own in zip(costs, quality, strict=True)
    ]
