"""The linear probe's table."""

import pandas as pd

from ltdm.metrics._groups import SHOTS
from ltdm.reporting.cells import ALIKE, Cell
from ltdm.reporting.tables import ARROWS, Column, Table, cells_of, laid_out, spread_legend

SAID = {
    "balanced": "trained on the balanced reference", "official": "the source's test split",
    "long-tailed": "trained on the long-tailed training set",
    "held-out": "a fifth held out of the reference",
}  # fmt: skip


def table(rows: pd.DataFrame) -> Table:
    """Return each run's accuracy at its chosen level and layer: over all classes, and by shots."""
    shown = rows[rows["chosen"]].assign(
        value=lambda r: r["accuracy"], note="", sample_set="", sampler="", guidance=""
    )
    columns = [
        Column(f"accuracy{f' ({group})' if group != 'all' else ''}{ARROWS[True]}", True, mine)
        for group in ("all", *SHOTS)
        if len(mine := shown[shown["group"] == group])
    ]
    cells = laid_out(shown, columns, cells_of, Cell())
    every = list(cells.to_numpy().flat)
    how = ", ".join(SAID[one] for one in shown["train_on"].unique())
    tests = " or ".join(SAID[one] for one in shown["test"].unique())
    legend = [
        spread_legend(every, "test images"),
        f"Linear classifiers of frozen features under the null label, {how}; level and layer are"
        f" each network's best on a tenth of that. Test images: {tests}.",
    ]
    if any(cell.alike for cell in every):
        legend.append(f"{ALIKE} not significantly different from the best (bold).")
    return Table(cells, legend)
