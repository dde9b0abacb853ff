"""Results that another config made: found before they are taken for this one's.

Snakemake knows what made a file as long as its own records are there. Beside a fresh clone, or on
another machine, the files' records have to say it.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltdm.errors import LtdmError
from ltdm.files import read_json, read_npz, reading

MOST = 8  # differing keys that are named; the rest are counted


def refuse_foreign(file: Path, wanted: Mapping[str, Any]) -> None:
    """Compare what a record says with what the config asks for.

    Args:
        file: A JSON record, an .npz that says what it is about, or a table whose first row does.
            Nothing is said if it is absent.
        wanted: What must stand there; other keys of the record do not matter.

    Raises:
        LtdmError: It was made by another config, or by other code.
    """
    if not file.exists():
        return
    made = READERS[file.suffix](file)
    differing = differences({key: made.get(key) for key in wanted}, wanted)
    if differing:
        more = f", and {len(differing) - MOST} more" if len(differing) > MOST else ""
        raise LtdmError(
            f"{file} was made by another config: {', '.join(differing[:MOST])}{more}; give this"
            f" experiment another name, or move {file.parent} away to have it made anew"
        )


def differences(made: Any, wanted: Any, path: str = "") -> list[str]:
    """Return a phrase for each key in which two nested mappings differ, sorted by key."""
    if not (isinstance(made, Mapping) and isinstance(wanted, Mapping)):
        if made == wanted:
            return []
        there, here = ("unset" if v is None else json.dumps(v) for v in (made, wanted))
        return [f"{path} is {there} there, {here} here"]
    found = []
    for key in sorted({*made, *wanted}):
        below = f"{path}.{key}" if path else str(key)
        found += differences(made.get(key), wanted.get(key), below)
    return found


def _about(file: Path) -> dict[str, Any]:
    (text,) = read_npz(file, "about")
    return dict(json.loads(str(text)))


def _first_row(file: Path) -> dict[str, Any]:
    with reading(file), open(file, encoding="utf-8", newline="") as table:
        return next(csv.DictReader(table), {})


READERS = {".json": read_json, ".npz": _about, ".csv": _first_row}
