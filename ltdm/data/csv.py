"""Image files named by a table: a CSV with a column of paths and a column of classes.

A class is a text, such as `Black Hair`; classes are the texts of the training table in sorted
order, whole numbers by their value. A path is relative to `root`. Each file is decoded once; its
central square is resized to `resolution` with antialiasing (Lanczos). Images keep their order.
"""

import csv
from dataclasses import dataclass

import numpy as np

from ltdm.data import _labelled
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.data._labelled import Entries, TableOptions
from ltdm.plumbing.errors import LtdmError, OptionError, shorten
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")
check_split = _labelled.check_split
Row = tuple[str, str]
"""The path and the class of an image."""


@dataclass(frozen=True, kw_only=True)
class Options(TableOptions):
    """Location of the tables and images, the columns, format after preparation, and bad files."""

    path_column: str = option("path", "Column of the images' paths.")
    label_column: str = option("label", "Column of the images' classes.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path_column == self.label_column:
            raise OptionError(("label_column",), "must differ from path_column")


def describe(options: Options) -> SourceInfo:
    """Describe the training table; its files are looked up, but none is decoded."""
    rows = _read_table(options, "train")
    names = _class_names(rows)
    lists = [_label(rows, names, options, "train")]
    if options.test_path:
        lists.append(_label(_read_table(options, "test"), names, options, "test"))
    return _labelled.describe_entries(names, lists, options)


def load(options: Options, split: str) -> SourceSplit:
    """Decode the images of a split in the order of its table, uint8 (N, C, H, W)."""
    rows = _read_table(options, "train")
    names = _class_names(rows)
    rows = rows if split == "train" else _read_table(options, split)
    return _labelled.load_entries(_label(rows, names, options, split), options)


def _class_names(rows: list[Row]) -> list[str]:
    """Return the classes of rows, sorted."""
    classes = {name for _, name in rows}
    by_value = all(name.isdecimal() for name in classes)  # longer is larger
    return sorted(classes, key=lambda name: (len(name.lstrip("0")) * by_value, name))


def _label(rows: list[Row], names: list[str], options: Options, split: str) -> Entries:
    """Return the paths of rows with their labels; LtdmError for a class not among `names`."""
    label_of = {name: i for i, name in enumerate(names)}
    unknown = [name for _, name in rows if name not in label_of]
    if unknown:
        raise LtdmError(
            f"{options.path_of(split)} has the class {unknown[0]!r}, which is none of"
            f" {options.path}; use the same classes in both"
        )
    labels = np.array([label_of[name] for _, name in rows], np.int64)
    return Entries([path for path, _ in rows], labels)


def _read_table(options: Options, split: str) -> list[Row]:
    """Return the rows of a split's table.

    Raises:
        LtdmError: It is no CSV, lacks a column or has it twice, a row has more or fewer cells than
            the header, one of the cells is empty, or there is no row.
    """
    path = options.path_of(split)
    with (
        explain_read_errors(path, "CSV", is_result=False),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        reader = csv.reader(file)
        table = [(row, reader.line_num) for row in reader if row]
    header = [name.strip() for name in table[0][0]] if table else []
    for column in (options.path_column, options.label_column):
        if header.count(column) != 1:
            raise LtdmError(
                f"{path} has {header.count(column)} columns {column!r} among"
                f" {shorten(header)}; set `path_column` and `label_column`"
            )
    columns = [header.index(name) for name in (options.path_column, options.label_column)]
    rows = []
    for row, line in table[1:]:
        if len(row) != len(header):
            raise LtdmError(
                f"{path}, line {line} has {len(row)} cells, and its header {len(header)}; put texts"
                " with a comma in quotes"
            )
        cells = [row[column].strip() for column in columns]
        if not all(cells):
            raise LtdmError(f"{path}, line {line} has no path or no class; fill it in")
        rows.append((cells[0], cells[1]))
    if not rows:
        raise LtdmError(f"{path} names no image; write a row for each")
    return rows
