"""Tidy rows on disk."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import atomic_write, explain_read_errors

NAMES = ("dataset", "run", "sample_set", "images", "reference")
"""Columns that stay text: a run may be called 0.1, or null."""
NUMBERS = ("guidance", "value", "error", "tail", "beta")  # columns that may be empty
DIGITS = "%.10g"  # further ones depend on the number of threads


def read_rows(path: Path) -> pd.DataFrame:
    """Read a table of rows.

    Raises:
        LtdmError: It is missing or damaged.
    """
    with explain_read_errors(path):
        text, empty = dict.fromkeys(NAMES, str), dict.fromkeys(NUMBERS, ("",))
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=empty)


def write_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write a table of rows, whole or not at all."""
    with atomic_write(path) as temporary:
        rows.to_csv(temporary, index=False, float_format=DIGITS)
