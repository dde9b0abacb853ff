"""Names that users give and that become files, folders and wildcards of the workflow."""

import re

from ltdm.plumbing.errors import OptionError, quotes_hint

MAX_LENGTH = 100
"""Bytes of a name; a file's name, which holds one or two of them, may have 255."""
REPEATED_END = re.compile(r"(.+?)\1{19}$")
"""An end that Snakemake takes for a runaway wildcard: 20 times the same characters."""


def check_name(value: object, path: tuple[str, ...], pattern: re.Pattern[str], rule: str) -> str:
    """Return a name that files may have, and Snakemake's wildcards, or raise an OptionError.

    `rule` says in words what the `pattern` asks for.
    """
    if not isinstance(value, str) or not pattern.fullmatch(value) or len(value) > MAX_LENGTH:
        raise OptionError(
            path,
            f"the name {value!r} must be {rule}, and not longer than {MAX_LENGTH} characters"
            f"{quotes_hint(value)}",
        )
    if repeated := REPEATED_END.search(value):
        message = f"the name {value!r} ends with {repeated[1]!r} twenty times over, which Snakemake"
        raise OptionError(path, f"{message} refuses; choose another")
    return value
