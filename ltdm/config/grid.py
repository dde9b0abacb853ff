"""The grid of an experiment: its data sets, runs, seeds and sample sets, and their names."""

import re
from collections.abc import Mapping
from typing import Any

from ltdm.config.layout import RULES, RUN
from ltdm.plumbing.errors import OptionError, quotes_hint
from ltdm.plumbing.names import check_name
from ltdm.plumbing.options import as_mapping, reject_unknown, suggest

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]*")
NAME_RULE = "text of lower-case letters, digits, '-', '_' and '.', beginning with a letter or digit"
OTHER_FOLDERS = {"slurm": "Slurm's logs", "scored": "`ltdm score`"}
"""The folders in `results` that are no experiment's, and whose they are."""
GRID_AXES = ("dataset", "run", "seed", "sample_set")


def parse_grid(value: Any, names: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Parse `grid`: the entries of each axis, which must be in `names[axis]`, or seeds.

    The axis `sample_set` may be missing; then it has all sample sets.

    Raises:
        OptionError: An axis is unknown or empty, or an entry is unknown or listed twice.
    """
    axes = as_mapping(value, ("grid",))
    reject_unknown(axes, (*names, "seed"), ("grid",))
    grid = {"sample_set": list(names["sample_set"]), **axes}
    for axis in GRID_AXES:
        entries, path = grid.get(axis), ("grid", axis)
        if not isinstance(entries, list) or not entries:
            raise OptionError(path, f"must be a list with entries, not {entries!r}")
        for entry in entries:
            if axis == "seed" and (type(entry) is not int or not 0 <= entry < 2**32):
                raise OptionError(path, f"must be whole numbers from 0 to 2^32 - 1, not {entry!r}")
            if axis != "seed" and (not isinstance(entry, str) or entry not in names[axis]):
                hint = suggest(entry, names[axis])
                hint = f"{hint}{quotes_hint(entry)}"
                raise OptionError(path, f"{entry!r} is not under `{axis}s`; {hint}")
        if len(set(entries)) < len(entries):
            raise OptionError(path, "names an entry twice; leave one out")
    return {axis: list(grid[axis]) for axis in GRID_AXES}


def restrict_axis(axis: str, selection: Any, entries: list[Any]) -> list[Any]:
    """Return the selected entries of an axis, in the grid's order.

    `selection` is a list, one entry, or text of several entries between commas.

    Raises:
        OptionError: The selection is empty, or names an entry that the grid does not have.
    """
    items = selection.split(",") if isinstance(selection, str) else selection
    items = items if isinstance(items, list) else [items]
    selected = {str(item).strip(): item for item in items if item not in (None, "")}
    by_text = {str(entry): entry for entry in entries}
    if not selected:
        message = f"must name some of the grid's entries; known: {', '.join(by_text)}"
        raise OptionError((axis,), message)
    for text, item in selected.items():
        if text not in by_text:
            raise OptionError((axis,), f"{item!r} is not in the grid; {suggest(item, by_text)}")
    return [entry for text, entry in by_text.items() if text in selected]


def named_entries(config: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Return the entries under a key of the config as (name, value), with the names checked."""
    entries = as_mapping(config.get(key), (key,))
    for name in entries:
        check_name(name, (key,), NAME_PATTERN, NAME_RULE)
        if key == "sample_sets" and name in reserved_sample_set_names():
            raise OptionError((key, name), "is the name of a run's own file; choose another")
    return list(entries.items())


def check_experiment_name(value: Any) -> str:
    """Return the experiment's name, which will be a folder's in `results`; raises OptionError."""
    name = check_name(value, ("experiment",), NAME_PATTERN, NAME_RULE)
    if name in OTHER_FOLDERS:
        message = f"results/{name} is the folder of {OTHER_FOLDERS[name]}; choose another name"
        raise OptionError(("experiment",), message)
    return name


def reserved_sample_set_names() -> set[str]:
    """Return the names of files and folders in a run's folder, which no sample set may have."""
    patterns = (p for rule in RULES.values() for p in rule.outputs.values() if isinstance(p, str))
    names = {p.removeprefix(f"{RUN}/").split("/")[0] for p in patterns if p.startswith(RUN)}
    return {"state", *names} - {"{sample_set}"}
