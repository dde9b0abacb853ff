"""What differs between the results folders of a comparison, from its comparison.json."""

from pathlib import Path
from typing import NamedTuple

from ltdm.config.layout import COMPARISON
from ltdm.plumbing.files import explain_read_errors, read_json


class Compared(NamedTuple):
    """The folders of a comparison, and rows of what differs: a key, and a value per folder."""

    folders: list[list[str]]  # name and path
    note: str  # on values of different protocols; empty if there are none
    protocol: list[list[str]]
    code: list[list[str]]
    config: list[list[str]]


def read_compared(results: Path) -> Compared | None:
    """Return what was compared; None for a folder that is no comparison.

    Raises:
        LtdmError: The file is damaged.
    """
    file = results / COMPARISON
    if not file.exists():
        return None
    record = read_json(file)
    with explain_read_errors(file, "record of a comparison"):
        return Compared(**{field: record[field] for field in Compared._fields})
