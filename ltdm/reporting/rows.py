"""Tidy tables of rows on disk."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import atomic_write, explain_read_errors

TEXT_COLUMNS = (
    *("dataset", "run", "sample_set", "extractor", "metric", "group", "name"),
    *("images", "reference"),
)
"""Columns that are read as text: a run's name may be 0.1 or null, and a class's name NA."""
NULLABLE_COLUMNS = ("guidance", "value", "error", "baseline", "tail", "beta")
"""Columns of numbers that may be empty."""
FEW_IMAGES = "few images"
"""Note of a value that is based on few images; the notes of a row are joined by ", "."""
NOT_ABOVE_ZERO = "not above 0"
"""Note of an unbiased distance that is not significantly greater than 0."""
FLOAT_FORMAT = "%.10g"  # further digits depend on the number of threads


def read_rows(path: Path) -> pd.DataFrame:
    """Read a table of rows, or the classes of a data set in counts.csv.

    Raises:
        LtdmError: The file is missing or damaged.
    """
    with explain_read_errors(path):
        return pd.read_csv(
            path,
            dtype=dict.fromkeys(TEXT_COLUMNS, str),
            keep_default_na=False,
            na_values=dict.fromkeys(NULLABLE_COLUMNS, ("",)),
            lineterminator="\n",  # so that a carriage return belongs to a name
        )


def read_class_counts(counts: Path) -> list[int]:
    """Return the training images per class that counts.csv has; errors as in `read_rows`."""
    with explain_read_errors(counts):
        return read_rows(counts)["train"].tolist()


def write_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write a table of rows as CSV, atomically; of a path that is not UTF-8 the bytes as text."""
    with atomic_write(path) as temporary:
        rows.to_csv(temporary, index=False, float_format=FLOAT_FORMAT, errors="backslashreplace")
