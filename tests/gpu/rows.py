"""Rows of results of the check's steps, each written at once, so that none is lost."""

import json
import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FATAL = "illegal", "device-side", "launch failure"
"""Words of errors after which a process cannot use its GPU any more."""


class Rows:
    """The rows of one step, added to a file that all steps share.

    Attributes:
        failed: Whether a row has an error or a failed check.
    """

    def __init__(self, file: Path, step: str):
        self.file, self.step, self.failed = file, step, False

    def add(self, what: str, /, **figures: Any) -> None:
        """Add a row: what is measured or checked, and its figures; `bad` marks a failed check."""
        row = {"step": self.step, "what": what, **{k: _short(v) for k, v in figures.items()}}
        self.failed |= bool(row.get("bad")) or "error" in row
        text = json.dumps(row)
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text, flush=True)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Add an error within the block as a row, and continue; raise if the GPU is unusable."""
        try:
            yield
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            self.add(what, error=f"{type(error).__name__}: {str(error)[:300]}")
            if any(word in str(error) for word in FATAL):
                raise


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return all rows, without a line that a killed process left unfinished."""
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _short(value: Any) -> Any:
    """Return a float with five digits, None if not finite; other values unchanged."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None
