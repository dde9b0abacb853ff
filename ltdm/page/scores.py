"""Scores of a results folder, which may come from elsewhere: their names become paths."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from ltdm.plumbing.errors import LtdmError
from ltdm.reporting.rows import read_rows

NAMES = ("dataset", "run", "sample_set", "extractor")
"""Columns whose values are names of folders or files."""


def read_scores(file: Path, columns: Collection[str], of_comparison: bool = False) -> pd.DataFrame:
    """Read metrics.csv, which has at least these `columns`; a comparison's run is `<folder>/<run>`.

    Raises:
        LtdmError: The file is missing or damaged, or a name would lead out of its folder.
    """
    rows = read_rows(file, columns)
    for column in (name for name in NAMES if name in columns):
        for name in rows[column].unique():
            parts = name.split("/") if of_comparison and column == "run" else [name]
            if not all(map(_is_folder_name, parts)):
                raise LtdmError(
                    f"{file} has the {column.replace('_', ' ')} {name!r}, which cannot be the name"
                    " of a folder; correct it there, or make the file again"
                )
    return rows


def _is_folder_name(name: str) -> bool:
    """Return whether a text is one part of a path on every system, and printable."""
    return name.isprintable() and name not in ("", ".", "..") and not {*name} & {*"/\\"}
