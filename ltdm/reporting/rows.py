"""Tidy tables of rows on disk."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import TABLE, atomic_write, explain_read_errors

TEXT_COLUMNS = ["dataset", "run", "sample_set", "images", "reference"]
TEXT_COLUMNS += ["sampler", "weights", "extractor", "metric", "options", "group", "note"]
"""Columns that are read as text: a run's name may be 0.1 or null, and a group 1."""
TYPED_COLUMNS = {"seed": int, "value": float, "error": float, "baseline": float}
TYPED_COLUMNS |= {"steps": float, "accuracy": float, "chosen": bool}
"""Columns that hold numbers or truth values, with their types."""
SCORE_COLUMNS = ["dataset", "run", "seed", "sample_set", "sampler", "guidance", "weights"]
SCORE_COLUMNS += ["extractor", "metric", "options", "group", "value", "error", "baseline", "note"]
"""Columns of the rows of metrics."""
PROBE_COLUMNS = ["dataset", "run", "seed", "level", "layer", "group", "accuracy", "error"]
PROBE_COLUMNS += ["weights", "test", "train_on", "chosen"]
"""Columns of the rows of linear probes."""
THEORY_COLUMNS = ["seed", "tail", "beta", "metric", "group", "steps", "value", "error"]
"""Columns of the rows of the theory lab."""
NULLABLE_COLUMNS = ("guidance", "value", "error", "baseline", "tail", "beta")
"""Columns of numbers that may be empty."""
FEW_IMAGES = "few images"
"""Note of a value that is based on few images; the notes of a row are joined by ", "."""
NOT_ABOVE_ZERO = "not above 0"
"""Note of an unbiased distance that is not significantly greater than 0."""
FLOAT_FORMAT = "%.10g"  # further digits depend on the number of threads


def read_rows(path: Path, columns: Collection[str] = ()) -> pd.DataFrame:
    """Read a table of rows, which has at least these columns.

    Raises:
        LtdmError: The file is missing or damaged.
    """
    with explain_read_errors(path, TABLE):
        types: dict[str, type] = {**dict.fromkeys(TEXT_COLUMNS, str), **TYPED_COLUMNS}
        empty_values = dict.fromkeys(NULLABLE_COLUMNS, ("",))
        rows = pd.read_csv(
            path,
            dtype=types,
            keep_default_na=False,
            na_values=empty_values,
            lineterminator="\n",  # so that a carriage return belongs to a name
        )
        if not isinstance(rows.index, pd.RangeIndex):
            raise ValueError("a row has more cells than the first")
        if missing := [column for column in columns if column not in rows]:
            raise ValueError(f"it has no column {missing[0]!r}")
        return rows


def read_classes(path: Path) -> pd.DataFrame:
    """Read counts.csv: a row per class with its `name`, if it has one, and images in `train`.

    Raises:
        LtdmError: The file is missing or damaged.
    """
    with explain_read_errors(path, TABLE):
        types = {"name": str, "train": int}
        table = pd.read_csv(path, dtype=types, keep_default_na=False, lineterminator="\n")
        if not len(table) or table["train"].min() < 0:
            raise ValueError("it holds no class, or a count below 0")
        return table


def write_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write a table of rows as CSV, atomically; of a path that is not UTF-8 the bytes as text."""
    with atomic_write(path) as temporary:
        rows.to_csv(temporary, index=False, float_format=FLOAT_FORMAT, errors="backslashreplace")
