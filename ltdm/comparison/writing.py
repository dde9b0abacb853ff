"""A comparison's folder: merged tables, numbers of figures, copies of records and pictures."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ltdm.comparison.folders import Folder, read_folders
from ltdm.comparison.merged import (
    Columns,
    Labels,
    choose_baselines,
    figure_frames,
    merge_rows,
    share_columns,
)
from ltdm.comparison.protocols import (
    Difference,
    label_datasets,
    protocol_differences,
    read_protocols,
)
from ltdm.comparison.settings import code_differences, config_differences
from ltdm.config.layout import COMPARISON, PAGE, Layout
from ltdm.page.document import write_page
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.reporting.rows import write_rows
from ltdm.reporting.tables import Table, difference_table, main_table, order_by_extractor
from ltdm.reporting.writing import write_table

PARTS = (COMPARISON, PAGE, "tables", "figures", "data", "runs")
"""What the folder of a comparison holds."""
APART = (
    "Values of different protocols or classes are in groups of their own: neither in bold together"
    " nor compared."
)
TOGETHER = "Values of different protocols stand together, as asked."


class Comparison(NamedTuple):
    """What was compared, and what differs."""

    folders: list[Folder]
    protocol: list[Difference]
    code: list[Difference]
    config: list[Difference]
    note: str  # on values of different protocols; empty if there are none


def default_output(folders: Sequence[Folder]) -> Path:
    """Return the folder of a comparison: `results/compare-<name>-<name>`."""
    return Path("results") / "-".join(["compare", *(folder.name for folder in folders)])


def write_comparison(
    arguments: Sequence[str], output: Path | None, across: bool
) -> tuple[Comparison, Path]:
    """Write the comparison of results folders; return it and its folder.

    `arguments` are `[NAME=]RESULTS`. With `across`, values of different protocols stand together.
    Nothing is trained, sampled or scored, and without an `output` it is `default_output`.

    Raises:
        LtdmError: A folder cannot be compared, or `output` is not empty and no comparison. Nothing
            has been written then.
    """
    folders = read_folders(arguments)
    output = output or default_output(folders)
    _check_output(output, folders)
    protocols = read_protocols(folders)
    labels, split = label_datasets(folders, protocols, across)
    differing = protocol_differences(folders, protocols)
    comparison = Comparison(
        folders,
        differing,
        code_differences(folders),
        config_differences(folders),
        APART if split else TOGETHER if differing and across else "",
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".compare-") as temporary:
        made = Path(temporary) / output.resolve().name  # which is the page's title
        _write_files(made, comparison, labels)
        write_page(made, made / PAGE)
        _replace(output, made)
    return comparison, output


def _check_output(output: Path, folders: list[Folder]) -> None:
    is_ours = (output / COMPARISON).is_file()
    if output.exists() and not is_ours and not (output.is_dir() and not any(output.iterdir())):
        raise LtdmError(
            f"{output} exists and is no comparison; name another folder with --output, or delete it"
        )


def _write_files(root: Path, comparison: Comparison, labels: Labels) -> None:
    """Write what the page is made from, in the layout of a results folder."""
    folders, layout = comparison.folders, Layout(root)
    rows, columns = merge_rows(folders, labels), share_columns(folders)
    write_rows(rows, layout.path("tables.tidy"))
    ordered = order_by_extractor(rows, folders[0].extractors)
    main = _main_table(comparison, ordered, columns)
    write_table(main, layout.path("tables.main").with_suffix(""))
    baselines = choose_baselines(folders, labels)
    differences = _difference_table(ordered, columns.shared, baselines)
    write_table(differences, layout.path("tables.vs_baseline").with_suffix(""))
    for label, figure, frame in figure_frames(folders, rows, columns.shared, labels):
        path = root / "figures" / f"{label}-{figure}.csv"
        write_rows(frame, path)
    for folder in folders:
        for artefact, old, new in _copied(folder, labels):
            source = folder.layout.path(artefact, **old)
            _copy(source, layout.path(artefact, **new))
            if artefact == "sample_sheet.picture":
                _copy_pictures(folder.layout, layout, old, new)
    write_json(root / COMPARISON, _to_record(comparison))


def _main_table(comparison: Comparison, rows: pd.DataFrame, columns: Columns) -> Table:
    """Return the main table; its legend says which columns are missing, and of protocols."""
    table = main_table(rows, columns.shared)
    left_out = f"Left out: {', '.join(columns.left_out)}." if columns.left_out else ""
    lines = [line for line in (comparison.note, left_out) if line]
    return Table(table.cells, [*table.legend, *lines])


def _difference_table(
    rows: pd.DataFrame, columns: list[str], baselines: Mapping[str, str]
) -> Table:
    """Return the table of differences from the baseline run of each label."""
    name, *others = dict.fromkeys(baselines.values())
    if not others:
        return difference_table(rows, columns, name)
    # The table takes one name; no other run has this one, and the baselines have no row.
    is_baseline = rows["run"] == rows["dataset"].map(baselines)
    name = "the baseline run"
    table = difference_table(rows.assign(run=rows["run"].mask(is_baseline, name)), columns, name)
    listed = "; ".join(f"{label}: {run}" for label, run in baselines.items())
    return Table(table.cells, [*table.legend, f"Baseline runs: {listed}."])


def _copied(
    folder: Folder, labels: Labels
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield the artefacts that the page shows, with the old and the new wildcards."""
    for dataset in folder.datasets:
        label = labels[folder.name, dataset]
        for artefact in ("prepare.record", "prepare.counts", "reference_sheet.picture"):
            yield artefact, {"dataset": dataset}, {"dataset": label}
        networks = [("train.record", keys) for keys in folder.networks(dataset)]
        sets = [
            (artefact, keys)
            for keys in folder.first_sets(dataset)
            for artefact in ("sample.record", "sample_sheet.picture")
        ]
        for artefact, keys in [*networks, *sets]:
            yield artefact, keys, {**keys, "dataset": label, "run": folder.run_name(keys["run"])}


def _copy_pictures(
    old: Layout, new: Layout, from_keys: Mapping[str, Any], to_keys: Mapping[str, Any]
) -> None:
    """Copy a sample set's pictures of likely copies, by any metric."""
    for file in old.path("copies_figure.picture", **from_keys, metric="any").parent.glob("*.png"):
        _copy(file, new.path("copies_figure.picture", **to_keys, metric=file.stem))


def _copy(source: Path, target: Path) -> None:
    """Copy a file, unless it is missing, or one of an earlier folder is there."""
    if source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _to_record(comparison: Comparison) -> dict[str, Any]:
    """Return what the page shows of a comparison, and what marks its folder as one."""
    parts = ("protocol", "code", "config")
    return {
        "folders": [[folder.name, str(folder.path)] for folder in comparison.folders],
        "note": comparison.note,
        **{part: [[d.key, *d.values] for d in getattr(comparison, part)] for part in parts},
    }


def _replace(output: Path, made: Path) -> None:
    """Put the parts of a comparison in the place of those of an earlier one."""
    output.mkdir(exist_ok=True)
    for part in PARTS:
        old, new = output / part, made / part
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
        if new.exists():
            new.rename(old)
