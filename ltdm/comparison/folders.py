"""Results folders that are compared, and their names."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm.config.layout import COMPARISON, MANIFEST, Layout
from ltdm.page.asked import first_sets, scored_networks
from ltdm.page.scores import read_scores
from ltdm.pipeline.old_results import check_results_version
from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.files import explain_read_errors, read_json
from ltdm.reporting.rows import SCORE_COLUMNS

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")
RECORD = "record of ltdm"  # the kind of a file, for messages


@dataclass(frozen=True)
class Folder:
    """A results folder, and the name that it has in the comparison."""

    name: str
    path: Path
    rows: pd.DataFrame  # metrics.csv
    columns: list[str]  # of its tables, by name
    extractors: list[str]  # in the order in which a column looks for its metric
    baseline: str  # the run that its differences are taken from

    @property
    def layout(self) -> Layout:
        """Where its files lie."""
        return Layout(self.path)

    @property
    def datasets(self) -> list[str]:
        """Its data sets with scores."""
        return [*self.rows["dataset"].unique()]

    def run_name(self, run: str) -> str:
        """Return what a run is called in the comparison."""
        return f"{self.name}/{run}"

    def networks(self, dataset: str) -> list[dict[str, Any]]:
        """Return the wildcards of the networks of a data set that have scores."""
        return scored_networks(self.rows[self.rows["dataset"] == dataset])

    def first_sets(self, dataset: str) -> list[dict[str, Any]]:
        """Return the wildcards of each run's first sample set, of its first seed."""
        return [*first_sets(self.rows, dataset).values()]

    def records(self) -> list[dict[str, Any]]:
        """Return the records of all stages, and the manifest."""
        parts = ("data/**/*.json", "runs/**/*.json", "tables/*.json", MANIFEST)
        return [read_json(file) for part in parts for file in sorted(self.path.glob(part))]

    def matching_records(self, artefact: str, **stars: str) -> list[tuple[Path, dict[str, Any]]]:
        """Return the records at a path of the layout in which some wildcards are stars."""
        pattern = Layout(Path()).path(artefact, **stars).as_posix()
        return [(file, read_json(file)) for file in sorted(self.path.glob(pattern))]


def read_folders(arguments: Sequence[str]) -> list[Folder]:
    """Return the folders that arguments `[NAME=]RESULTS` name; a name defaults to the folder's.

    Raises:
        LtdmError: There are fewer than two, one comes twice, a name is odd or given twice, or a
            folder holds no tables, those of ltdm 0.1, another comparison, damaged files, or names
            that would lead out of it.
    """
    given = [_split_argument(argument) for argument in arguments]
    paths = [path for _, path in given]
    if len(paths) < 2:
        raise LtdmError(f"only {shorten(paths)} to compare; name two or more results folders")
    for path, times in Counter(path.resolve() for path in paths).items():
        if times > 1:
            raise LtdmError(f"{path} is named twice; compare it with another results folder")
    names = _choose_names(given)
    for name, path in zip(names, paths, strict=True):
        if not NAME_PATTERN.fullmatch(name):
            raise LtdmError(
                f"the name {name!r} of {path} must be letters, digits, `.`, `_` and `-`, at most 50"
                f" of them; name it yourself: NAME={path}"
            )
        if names.count(name) > 1:
            raise LtdmError(f"{name} is the name of two folders; name one yourself: NAME={path}")
    return [_read_folder(name, path) for name, path in zip(names, paths, strict=True)]


def _split_argument(argument: str) -> tuple[str, Path]:
    """Return the name, empty if it is not given, and the path; a path may have `=` too."""
    name, sign, path = argument.partition("=")
    named = sign and not Path(argument).exists()
    return (name, Path(path)) if named else ("", Path(argument))


def _choose_names(given: list[tuple[str, Path]]) -> list[str]:
    """Return given names, and those of folders; equal ones give way to a folder above them.

    That is the lowest folder above them in which all paths of this name differ.
    """
    names = [name or path.resolve().name for name, path in given]
    parts = [path.resolve().parts[::-1] for _, path in given]
    chosen = [*names]
    for name in {name for name in names if names.count(name) > 1}:
        members = [i for i, other in enumerate(names) if other == name and not given[i][0]]
        for level in range(min(len(parts[i]) for i in members) if members else 0):
            if len({parts[i][level] for i in members}) == len(members) > 1:
                for i in members:
                    chosen[i] = parts[i][level]
                break
    return chosen


def _read_folder(name: str, path: Path) -> Folder:
    if (path / COMPARISON).exists():
        raise LtdmError(f"{path} is a comparison itself; name the folders that it compares")
    layout = Layout(path)
    tidy, record = layout.path("tables.tidy"), layout.path("tables.record")
    if not tidy.is_file():
        raise LtdmError(
            f"{path} has no tables of scores; name a results folder, such as results/demo, in which"
            " `snakemake` ran to the end"
        )
    check_results_version(path)
    request = read_json(record)
    with explain_read_errors(record, RECORD):
        columns, extractors = [*map(str, request["columns"])], [*map(str, request["extractors"])]
        baseline = str(request["baseline"])
    rows = read_scores(tidy, [*SCORE_COLUMNS, "n_generated"])
    return Folder(name, path, rows, columns, extractors, baseline)
