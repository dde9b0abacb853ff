"""The linear probe's table."""

import pandas as pd

from ltdm.metrics._groups import SHOTS
from ltdm.reporting.cells import NOT_SIGNIFICANT, Cell
from ltdm.reporting.tables import ARROWS, Column, Table, column_cells, deviation_legend, pivot

DESCRIPTIONS = {
    "balanced": "trained on the balanced reference", "official": "the source's test split",
    "long-tailed": "trained on the long-tailed training set",
    "held-out": "a fifth held out of the reference",
}  # fmt: skip


def probe_table(rows: pd.DataFrame) -> Table:
    """Return each run's accuracy at its chosen level and layer: over all classes, and by shots."""
    chosen = rows[rows["chosen"]].assign(
        value=lambda r: r["accuracy"], note="", sample_set="", sampler="", guidance=""
    )
    columns = [
        Column(f"accuracy{f' ({group})' if group != 'all' else ''}{ARROWS[True]}", True, group_rows)
        for group in ("all", *SHOTS)
        if len(group_rows := chosen[chosen["group"] == group])
    ]
    cells = pivot(chosen, columns, column_cells, Cell())
    all_cells = list(cells.to_numpy().flat)
    training_sets = ", ".join(DESCRIPTIONS[name] for name in chosen["train_on"].unique())
    test_sets = " or ".join(DESCRIPTIONS[name] for name in chosen["test"].unique())
    legend = [
        deviation_legend(all_cells, "test images"),
        f"Linear classifiers of frozen features under the null label, {training_sets}; level and layer are"
        f" each network's best on a tenth of that. Test images: {test_sets}.",
    ]
    if any(cell.not_significant for cell in all_cells):
        legend.append(f"{NOT_SIGNIFICANT} not significantly different from the best (bold).")
    return Table(cells, legend)
