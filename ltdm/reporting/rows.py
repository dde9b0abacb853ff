"""Tidy tables of rows on disk."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import TABLE, atomic_write, explain_read_errors

TEXT_COLUMNS = ("dataset", "run", "sample_set", "images", "reference")
"""Columns that are read as text: a run's name may be 0.1, or null."""
NULLABLE_COLUMNS = ("guidance", "value", "error", "baseline", "tail", "beta")
"""Columns of numbers that may be empty."""
FEW_IMAGES = "few images"
"""Note of a value that is based on few images; the notes of a row are joined by ", "."""
FLOAT_FORMAT = "%.10g"  # further digits depend on the number of threads


def read_rows(path: Path) -> pd.DataFrame:
    """Read a table of rows.

    Raises:
        LtdmError: The file is missing or damaged.
    """
    with explain_read_errors(path, TABLE):
        text_types = dict.fromkeys(TEXT_COLUMNS, str)
        empty_values = dict.fromkeys(NULLABLE_COLUMNS, ("",))
        return pd.read_csv(path, dtype=text_types, keep_default_na=False, na_values=empty_values)


def write_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write a table of rows as CSV, atomically."""
    with atomic_write(path) as temporary:
        rows.to_csv(temporary, index=False, float_format=FLOAT_FORMAT)
