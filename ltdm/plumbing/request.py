"""What a stage is asked for: one mapping, made in one place, that its record repeats."""

from collections.abc import Mapping
from typing import Any

IRRELEVANT_KEYS = ("places", "where")
"""What decides no result: where things lie and run, and what the rows of a table are called."""
UNRECORDED_KEYS = (*IRRELEVANT_KEYS, "rows")
"""Of which rows a table is made: files that are there say so themselves."""


class Request(dict[str, Any]):
    """A request whose text, by which Snakemake decides what to rerun, is what decides results."""

    text = ""  # what stands for it, where it was asked for in other words before

    def __repr__(self) -> str:
        """Write what decides the result, sorted."""
        return self.text or repr({k: self[k] for k in sorted(self) if k not in IRRELEVANT_KEYS})


def to_record(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a stage's record repeats, and is compared with."""
    return {key: value for key, value in request.items() if key not in UNRECORDED_KEYS}
