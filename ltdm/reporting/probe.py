"""The linear probe's table."""

import pandas as pd

from ltdm.metrics._groups import SHOTS
from ltdm.reporting.cells import NOT_SIGNIFICANT, Cell
from ltdm.reporting.tables import ARROWS, Column, Table, column_cells, deviation_legend, pivot

DESCRIPTIONS = {
    "balanced": "trained on the balanced reference",
    "official": "the source's test split",
    "long-tailed": "trained on the long-tailed training set",
    "held-out": "a fifth held out of the reference",
}
"""Of the values of the columns `train_on` and `test`."""


def probe_table(rows: pd.DataFrame) -> Table:
    """Return each run's accuracy at its chosen level and layer: over all classes, and by shots.

    The rows are those of all probes; the column `chosen` marks each network's level and layer.
    """
    chosen = rows[rows["chosen"]].assign(
        value=lambda r: r["accuracy"], note="", sample_set="", sampler="", guidance=""
    )
    columns = []
    for group in ("all", *SHOTS):
        group_rows = chosen[chosen["group"] == group]
        if len(group_rows):
            suffix = f" ({group})" if group != "all" else ""
            columns.append(Column(f"accuracy{suffix}{ARROWS[True]}", True, group_rows))
    table = pivot(chosen, columns, column_cells, Cell())
    cells = list(table.to_numpy().flat)
    training_sets = ", ".join(DESCRIPTIONS.get(name, name) for name in chosen["train_on"].unique())
    test_sets = " or ".join(DESCRIPTIONS.get(name, name) for name in chosen["test"].unique())
    legend = [
        deviation_legend(cells, "test images"),
        f"Linear classifiers of frozen features under the null label, {training_sets}; level and"
        f" layer are each network's best on a tenth of that. Test images: {test_sets}.",
    ]
    if any(cell.not_significant for cell in cells):
        legend.append(f"{NOT_SIGNIFICANT} not significantly different from the best (bold).")
    return Table(table, legend)


def probe_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy over all classes by run, level and layer: the mean over seeds, in [0, 1].

    `sigma` is the level's noise-to-signal ratio, `chosen` the number of seeds that chose the level
    and layer. The rows are one data set's.
    """
    grouped = rows[rows["group"] == "all"].groupby(["run", "level", "layer"], sort=False)
    parts = {"sigma": "first", "accuracy": "mean", "chosen": "sum"}
    return grouped.agg(parts).reset_index()[
        ["run", "level", "sigma", "layer", "accuracy", "chosen"]
    ]
