"""The numbers behind the plot of differences from the baseline run."""

import pandas as pd

from ltdm.reporting.compare import Interval, differences_from
from ltdm.reporting.tables import is_better, select_column

COLUMNS = ["run", "sample_set", "column", "higher_is_better", *Interval._fields]
COLUMNS += ["better", "baseline_run"]


def intervals_frame(rows: pd.DataFrame, columns: list[str], baseline: str) -> pd.DataFrame:
    """Return each run's paired difference from the run `baseline`, for columns of the main table.

    They are those of the table of differences: `difference`, the ends `low` and `high` of its
    interval, `seeds`, and `better`, whether it is significantly better. The column is named by its
    heading; `higher_is_better` is empty if neither direction is better.

    Args:
        rows: Tidy rows of one data set and one sample set per run, in the config's order of
            extractors.
        columns: Column names (reporting/columns.py).
        baseline: The run that differences are taken from; without its rows they are empty.
    """
    records = []
    for name in columns:
        column = select_column(rows, name)
        for key, interval in differences_from(column.rows, baseline).items():
            labels = (*key[1:3], column.name, column.up)
            records.append((*labels, *interval, is_better(interval, column.up), baseline))
    return pd.DataFrame(records, columns=COLUMNS).astype({"higher_is_better": object})
