"""The one exception that users are meant to see, and how its sentence names many things."""

from collections.abc import Collection
from typing import Any


class LtdmError(Exception):
    """A mistake that the user can correct, in one sentence: what, where, and the way out."""


class OptionError(LtdmError):
    """A config value that cannot be used; `path` leads to it from where parsing began."""

    def __init__(self, path: tuple[str, ...], message: str):
        super().__init__(f"{'.'.join(path)}: {message}" if path else message)
        self.path = path
        self.message = message


class Interruption(LtdmError):
    """A job ended before its work did, with its state saved: the same command goes on from there.

    It ended `should_requeue` if its time was up, and another job as long as this one will do.
    """

    STATUS = 75  # the exit status then, EX_TEMPFAIL of sysexits.h: Snakemake tries again

    def __init__(self, message: str, should_requeue: bool = False):
        super().__init__(message)
        self.should_requeue = should_requeue


def shorten(things: Collection[Any], shown: int = 3) -> str:
    """Write the first things of many for a message, and count the rest."""
    more = f" and {len(things) - shown} more" if len(things) > shown else ""
    return f"{', '.join(map(str, list(things)[:shown])) or 'nothing'}{more}"
