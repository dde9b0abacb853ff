"""The grid of an experiment: data sets, runs, seeds and sample sets, and their names."""

import re
from collections.abc import Mapping
from typing import Any

from ltdm.config.layout import reserved_sample_set_names
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import KeyPath, mapping, near, refuse_unknown

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
GRID = ("dataset", "run", "seed", "sample_set")


def parse_grid(value: Any, known: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Parse `grid`, which lists entries of what is `known` by axis and name."""
    given = mapping(value, ("grid",))
    refuse_unknown(given, (*known, "seed"), ("grid",))
    grid = {"sample_set": list(known["sample_set"]), **given}
    for axis in GRID:
        entries, path = grid.get(axis), ("grid", axis)
        if not isinstance(entries, list) or not entries:
            raise OptionError(path, f"must be a list with entries, not {entries!r}")
        for entry in entries:
            if axis == "seed" and (type(entry) is not int or not 0 <= entry < 2**32):
                raise OptionError(path, f"must be whole numbers from 0, not {entry!r}")
            if axis != "seed" and (not isinstance(entry, str) or entry not in known[axis]):
                hint = near(entry, known[axis])
                raise OptionError(path, f"{entry!r} is not under `{axis}s`; {hint}")
        if len(set(entries)) < len(entries):
            raise OptionError(path, "names an entry twice")
    return {axis: list(grid[axis]) for axis in GRID}


def restrict_axis(axis: str, wanted: Any, entries: list[Any]) -> list[Any]:
    """Return the entries of an axis that are wanted: a list, one, or several between commas."""
    listed = wanted.split(",") if isinstance(wanted, str) else wanted
    listed = listed if isinstance(listed, list) else [listed]
    asked = {str(one).strip(): one for one in listed if one not in (None, "")}
    texts = {str(entry): entry for entry in entries}
    if not asked:
        raise OptionError((axis,), f"must name some of the grid; known: {', '.join(texts)}")
    for text, one in asked.items():
        if text not in texts:
            raise OptionError((axis,), f"{one!r} is not in the grid; {near(one, texts)}")
    return [entry for text, entry in texts.items() if text in asked]


def named_entries(top: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Return the entries under a key by name, once the names are fit for folders."""
    entries = mapping(top.get(key), (key,))
    for name in entries:
        check_name(name, (key,))
        if key == "sample_sets" and name in reserved_sample_set_names():
            raise OptionError((key, name), "is the name of a run's own file; choose another")
    return list(entries.items())


def check_name(value: Any, path: KeyPath) -> str:
    """Check a name that becomes a folder."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or len(value) > 100:
        raise OptionError(
            path,
            f"the name {value!r} must be text of small letters, digits, '-', '_' and '.',"
            " beginning with a letter or digit",
        )
    return value
