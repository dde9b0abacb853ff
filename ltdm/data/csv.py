"""Image files named by a table: a CSV with a column of paths and a column of classes.

A class is a text, such as `Black Hair`; classes are the texts of the training table in sorted
order, whole numbers by their value. A path is relative to `root`. Each file is decoded once; its
central square is resized to `resolution` with antialiasing (Lanczos). Images keep their order.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

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
    splits = ["train", "test"] if options.test_path else ["train"]
    names = _read_names(options)
    lists = [_read_entries(options, split, names) for split in splits]
    return _labelled.describe_entries(names, lists, options)


def load(options: Options, split: str) -> SourceSplit:
    """Decode the images of a split in the order of its table, uint8 (N, C, H, W)."""
    return _labelled.load_entries(_read_entries(options, split, _read_names(options)), options)


def _read_names(options: Options) -> list[str]:
    """Return the classes of the training table, sorted."""
    classes = {name for _, name in _read_table(options, options.path_of("train"))}
    by_value = all(name.isdecimal() for name in classes)  # longer is larger
    return sorted(classes, key=lambda name: (len(name.lstrip("0")) * by_value, name))


def _read_entries(options: Options, split: str, names: list[str]) -> Entries:
    """Return the paths of a table and their labels; LtdmError for a class not among `names`."""
    path = options.path_of(split)
    label_of = {name: i for i, name in enumerate(names)}
    paths, classes = zip(*_read_table(options, path), strict=True)
    unknown = [name for name in classes if name not in label_of]
    if unknown:
        raise LtdmError(
            f"{path} has the class {unknown[0]!r}, which is none of {options.path}; use the same"
            " classes in both"
        )
    return Entries([*paths], np.array([label_of[name] for name in classes], np.int64))


def _read_table(options: Options, path: Path) -> list[tuple[str, str]]:
    """Return the path and the class of each row.

    Raises:
        LtdmError: It is no CSV, lacks a column or has it twice, a row has more or fewer cells than
            the header, one of the cells is empty, or there is no row.
    """
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
