"""The exceptions whose message a user reads, and the numbers and lists in messages."""

from collections.abc import Collection
from typing import Any


class LtdmError(Exception):
    """An error that the user can fix; its message is one sentence: place, fault, way out."""


class OptionError(LtdmError):
    """A config value that cannot be used.

    `path` holds the keys that lead to the value from where parsing began; the error's text is the
    path and the `message`.
    """

    def __init__(self, path: tuple[str, ...], message: str):
        super().__init__(f"{'.'.join(path)}: {message}" if path else message)
        self.path = path
        self.message = message


class Interruption(LtdmError):
    """A job ended before its work was done, and saved its state: the same command resumes it.

    `should_requeue` is true if only the time limit ended it, and another job as long would help.
    """

    STATUS = 75  # the exit status, EX_TEMPFAIL of sysexits.h, after which Snakemake tries again

    def __init__(self, message: str, should_requeue: bool = False):
        super().__init__(message)
        self.should_requeue = should_requeue


def shorten(items: Collection[Any], limit: int = 3) -> str:
    """Return the first `limit` items as text, with the number of the others: `a, b and 4 more`."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return f"{', '.join(map(str, list(items)[:limit])) or 'nothing'}{more}"


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 network`, `2 networks`; `plural` if it is not noun + s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
