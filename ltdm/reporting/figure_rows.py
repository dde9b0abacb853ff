"""Tables that only figures are made from, and those of the numbers behind them."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import TABLE, explain_read_errors

FIGURE_NAMES = ["run", "sample_set", "name", "metric", "column", "baseline_run"]
FIGURE_NAMES += ["unit_run", "device", "group", "line", "x_label"]
"""Columns of names in the numbers behind figures."""


def read_figure_rows(path: Path) -> pd.DataFrame:
    """Read the numbers behind a figure; names are text, an empty number is NaN.

    Raises:
        LtdmError: The file is damaged.
    """
    with explain_read_errors(path, TABLE):
        types = dict.fromkeys(FIGURE_NAMES, str)
        rows = pd.read_csv(
            path, dtype=types, keep_default_na=False, na_values=[""], lineterminator="\n"
        )
        names = [column for column in FIGURE_NAMES if column in rows]
        return rows.fillna(dict.fromkeys(names, ""))


def read_history(path: Path) -> pd.DataFrame:
    """Read `step` and `denoise`, the denoising loss, of history.csv: a row per logged step.

    Raises:
        LtdmError: The file is missing or damaged.
    """
    with explain_read_errors(path, TABLE):
        return pd.read_csv(path, dtype=float, usecols=["step", "denoise"])
