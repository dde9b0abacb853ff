"""The exceptions whose message a user reads, and the numbers and lists in messages."""

from collections.abc import Collection, Mapping
from typing import Any

MAX_LENGTH = 800
"""Longest message, in characters: ten lines of a terminal."""


class LtdmError(Exception):
    """An error that the user can fix; its message is one sentence: place, fault, way out.

    It is one line of printable text whatever names and values of the user it repeats: other
    characters are escaped, and a long message is cut in the middle, which is neither the place nor
    the way out.
    """

    def __init__(self, message: str):
        text = printable(message)
        if len(text) > MAX_LENGTH:
            half = MAX_LENGTH // 2 - len(" ... ")
            text = f"{text[:half]} ... {text[-half:]}"
        super().__init__(text)


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


def printable(text: str) -> str:
    r"""Return text in one line: other characters as in a Python text, `\n`, `\x1b`, `\udcff`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(items: Collection[Any], limit: int = 3) -> str:
    """Return the first `limit` items as text, with the number of the others: `a, b and 4 more`."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return f"{', '.join(map(str, list(items)[:limit])) or 'nothing'}{more}"


def quotes_hint(value: Any) -> str:
    """Return the way out for a value that was meant as text and that YAML reads as another type."""
    if isinstance(value, str | list | Mapping):
        return ""
    readings = {
        bool: "YAML reads yes, no, on and off as true and false; ",
        type(None): "YAML reads null, ~ and an empty place as no value; ",
    }
    return f" ({readings.get(type(value), '')}put it in quotes)"


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 network`, `2 networks`; `plural` if it is not noun + s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
