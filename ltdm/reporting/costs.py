"""The numbers behind the plot of quality against the cost of training.

The cost of all runs is in one unit: the operations of a forward pass of one image through the
baseline run's network.
"""

import math

import numpy as np
import pandas as pd

from ltdm.reporting.frames import mean_and_band
from ltdm.reporting.tables import select_column

TRAINING_COLUMNS = ["run", "seed", "flops", "pass_flops", "hours", "device"]
"""Columns of the costs of trainings (training/spent.py)."""
COLUMNS = ["run", "sample_set", "column", "higher_is_better", "value", "low", "high"]
COLUMNS += ["forward_equivalents", "unit_run", "flops", "hours", "device", "on_front"]


def cost_frame(
    rows: pd.DataFrame, column: str, trainings: pd.DataFrame, baseline: str
) -> pd.DataFrame:
    """Return each run's value of a column of the main table beside what its training cost.

    Costs are means over seeds, and so is `value`, with its band (`mean_and_band`).
    `forward_equivalents` are the FLOP of the training in units of a forward pass of one image
    through the network of `unit_run`: the baseline, or the first run with a cost if it has none. A
    run is `on_front`, the Pareto front, if no other run is at least as cheap and at least as good,
    and better in one of both; never without a value or a cost, as of an imported network.

    Args:
        rows: Tidy rows of one data set and one sample set per run, in the config's order of
            extractors.
        column: The column's name (reporting/columns.py).
        trainings: A row per network, with TRAINING_COLUMNS; empty where something is not known.
        baseline: The run that differences are taken from.
    """
    selected = select_column(rows, column)
    values = mean_and_band(selected.rows, ["run", "sample_set"])
    by_run = trainings.groupby("run", sort=False)
    costs = by_run[["flops", "pass_flops", "hours"]].mean()
    known = costs["pass_flops"].dropna()
    unit_run = baseline if baseline in known else next(iter(known.index), "")
    costs["forward_equivalents"] = costs["flops"] / known.get(unit_run, np.nan)
    costs["device"] = by_run["device"].agg(lambda names: "; ".join(dict.fromkeys(names.dropna())))
    frame = values.merge(costs.reset_index(), how="left", on="run")
    front = _find_front(frame["forward_equivalents"], frame["value"], selected.up)
    up = pd.Series([selected.up] * len(frame), dtype=object)
    names = {"column": selected.name, "unit_run": unit_run}
    return frame.assign(**names, higher_is_better=up, on_front=front)[COLUMNS]


def cost_title(unit_run: str) -> list[str]:
    """Return the title of the axis of `forward_equivalents`, with its unit, in two lines."""
    return ["training cost, forward passes of one image", f"through {unit_run}'s network"]


def _find_front(costs: pd.Series, values: pd.Series, up: bool | None) -> list[bool]:
    """Return which points no other one dominates: neither dearer nor worse, and not equal."""
    if up is None:
        return [False] * len(costs)
    quality = values if up else -values
    return [
        math.isfinite(cost + own)
        and not np.any((costs <= cost) & (quality >= own) & ((costs < cost) | (quality > own)))
        for cost, own in zip(costs, quality, strict=True)
    ]
