"""Image files named by a table: a CSV with a column of paths and a column of classes.

A class is a text, such as `Black Hair`; classes are the texts of the training table in sorted
order, whole numbers by their value. A path is relative to `root`. Each file is decoded once; its
central square is resized to `resolution` with antialiasing (Lanczos). Images keep their order.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.data import _labelled
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.data._labelled import Entries, TableOptions
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")
check_split = _labelled.check_split


@dataclass(frozen=True, kw_only=True)
class Options(TableOptions):
    """Location of the tables and images, the columns, format after preparation, and bad files."""

    path_column: str = option("path", "Column of the images' paths.")
    label_column: str = option("label", "Column of the images' classes.")


def describe(options: Options) -> SourceInfo:
    """Describe the training table; its files are looked up, but none is decoded."""
    splits = ["train", "test"] if options.test_path else ["train"]
    names = _read_names(options)
    lists = [_read_entries(options, split, names) for split in splits]
    return _labelled.describe_entries(names, lists, options)


def load(options: Options, split: str) -> SourceSplit:
    """Decode the images of a split in the order of its table, uint8 (N, C, H, W)."""
    return _labelled.load_entries(_read_entries(options, split, _read_names(options)), options)


def _read_names(options: Options) -> list[str]:
    """Return the classes of the training table, sorted."""
    classes = {*_read_table(options, options.path_of("train"))[options.label_column]}
    by_value = all(name.isdecimal() for name in classes)
    return sorted(classes, key=lambda name: (int(name) if by_value else 0, name))


def _read_entries(options: Options, split: str, names: list[str]) -> Entries:
    """Return the paths of a table and their labels; LtdmError for a class not among `names`."""
    path = options.path_of(split)
    table, label_of = _read_table(options, path), {name: i for i, name in enumerate(names)}
    classes = table[options.label_column].tolist()
    unknown = [name for name in classes if name not in label_of]
    if unknown:
        raise LtdmError(
            f"{path} has the class {unknown[0]!r}, which is none of {options.path}; use the same"
            " classes in both"
        )
    labels = np.array([label_of[name] for name in classes], np.int64)
    return Entries(table[options.path_column].tolist(), labels)


def _read_table(options: Options, path: Path) -> pd.DataFrame:
    """Return both columns of a table, as text.

    Raises:
        LtdmError: It is no CSV, lacks a column, has an empty cell in one of them, or no row.
    """
    with explain_read_errors(path, "CSV", is_result=False):
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True
        )
    for column in (options.path_column, options.label_column):
        if column not in table:
            raise LtdmError(
                f"{path} has no column {column!r}, but {', '.join(map(str, table))}; set"
                " `path_column` and `label_column`"
            )
        empty = np.flatnonzero(table[column].str.strip() == "")
        if len(empty):
            raise LtdmError(f"{path}, row {empty[0] + 1}: {column!r} is empty; fill it in")
    if not len(table):
        raise LtdmError(f"{path} names no image; write a row for each")
    return table[[options.path_column, options.label_column]]
