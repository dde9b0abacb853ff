"""A stage's request: a mapping of all that decides its result, which its record repeats."""

from collections.abc import Mapping
from typing import Any

IRRELEVANT_KEYS = ("places", "where")
"""Keys that decide no result: locations of files, and the names in the rows of a table."""
UNRECORDED_KEYS = (*IRRELEVANT_KEYS, "rows")
"""Keys that a record leaves out; `rows` too, which the files of a table contain."""


class Request(dict[str, Any]):
    """A request whose text, which Snakemake compares to decide on reruns, decides the result."""

    text = ""  # the text to use instead, if an earlier text was accepted as the same request

    def __repr__(self) -> str:
        """Return the text: the keys that decide the result, sorted, with their values."""
        return self.text or repr({k: self[k] for k in sorted(self) if k not in IRRELEVANT_KEYS})


def to_record(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a request that its record repeats and is compared with."""
    return {key: value for key, value in request.items() if key not in UNRECORDED_KEYS}
