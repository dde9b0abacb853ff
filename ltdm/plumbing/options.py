"""Strict options: a frozen dataclass is the schema, the defaults and the documentation in one."""

import contextlib
import difflib
import math
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from ltdm.plumbing.errors import OptionError, quotes_hint
from ltdm.plumbing.renamed import KEYS, NOTES, OTHER_NAMES, REMOVED, VALUES, find_new_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KeyPath = tuple[str, ...]
LARGEST_INTEGER = 2**53
"""Largest whole number of an option: NumPy and PyTorch compute with it without overflow or loss."""
T = TypeVar("T", bound="DataclassInstance")


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    parser: Callable[[Any, KeyPath], Any] | None = None,
    location: bool = False,
) -> Any:
    """Declare an option: a dataclass field with a check and a help text.

    Args:
        default: Its value if the config does not set it; `...` makes the option required.
        help: Text for the config reference and the schema: what it is, with its unit.
        choices: The texts allowed.
        low: Smallest value allowed, also of each entry of a list.
        high: Largest value allowed.
        above: Value that it must exceed.
        parser: Function `(value, path) -> object` for a value that is no plain scalar or list.
        location: Whether it only says where something lies or runs, which changes no result. `~`
            at the start of a path is the user's home.
    """
    metadata = dict(
        help=help,
        choices=choices,
        low=low,
        high=high,
        above=above,
        parser=parser,
        location=location,
    )
    if default is ...:
        return field(metadata=metadata)
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def suggest(name: object, names: Iterable[str], renamed: dict[str, tuple[str, ...]] = KEYS) -> str:
    """Return a hint for an unknown name: its new name, a similar known name, or all known names.

    `renamed` maps names of ltdm 0.1.0 to their new ones.
    """
    names = sorted(names)
    if new := find_new_name(name, renamed, names):
        return f"it is called {new!r} now{NOTES.get((str(name), new), '')}"
    lower = str(name).lower()
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(OTHER_NAMES.get(lower, lower), by_lower, 1, 0.6)
    if not close:
        return f"known: {', '.join(names) or 'none'}"
    return f"did you mean {by_lower[close[0]]!r}?"


def as_mapping(value: object, path: KeyPath) -> dict[str, Any]:
    """Return a copy of `value`, which must be a mapping with text keys; None gives an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise OptionError(path, f"must be a mapping of options, not {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise OptionError(path, f"key {key} must be text{quotes_hint(key)}")
    return dict(value)


def reject_unknown(keys: Iterable[str], names: Iterable[str], path: KeyPath) -> None:
    """Raise an `OptionError` at the first key that is not in `names`; it names the others too."""
    names = set(names)
    if unknown := [key for key in keys if key not in names]:
        hints = [f"unknown key; {_key_hint(key, names)}" for key in unknown]
        others = [f"; {key}: {hint}" for key, hint in zip(unknown[1:], hints[1:], strict=True)]
        raise OptionError((*path, unknown[0]), hints[0] + "".join(others))


def _key_hint(key: str, names: Iterable[str]) -> str:
    """Return what replaced a removed key, or else a hint as `suggest` gives it."""
    return f"it was removed: {REMOVED[key]}" if key in REMOVED else suggest(key, names)


def parse(cls: type[T], value: object, path: KeyPath = ()) -> T:
    """Return the options `cls` of a mapping read from YAML, which stands at `path` of the config.

    Raises:
        OptionError: A key is unknown or missing, or a value cannot be used.
    """
    entries = as_mapping(value, path)
    options = {f.name: f for f in fields(cls)}
    reject_unknown(entries, options, path)
    hints = typing.get_type_hints(cls)
    parsed = {k: _parse_value(hints[k], options[k], v, (*path, k)) for k, v in entries.items()}
    for name, f in options.items():
        if name not in parsed and f.default is MISSING and f.default_factory is MISSING:
            raise OptionError((*path, name), "is missing")
    try:
        return cls(**parsed)
    except OptionError as error:  # from __post_init__, which does not know the path
        raise OptionError((*path, *error.path), error.message) from None


@dataclass(frozen=True)
class Nested:
    """Parser of an option that is itself a set of options `cls`, or null."""

    cls: type

    def __call__(self, value: Any, path: KeyPath) -> Any:
        """Parse the config's value at `path`; null gives None."""
        return None if value is None else parse(self.cls, value, path)


def _parse_value(hint: Any, f: Field[Any], value: Any, path: KeyPath) -> Any:
    """Return the value of an option `f` with the type `hint`, checked."""
    if f.metadata["parser"]:
        return f.metadata["parser"](value, path)
    choices = f.metadata["choices"]
    if choices and isinstance(value, bool):  # YAML reads on, off, yes and no as booleans
        raise OptionError(path, f"must be one of {', '.join(choices)}, not {value!r}")
    result = _check_type(hint, value, path)
    for v in result if isinstance(result, tuple) else (result,):
        if v is not None:
            _check_bounds(f.metadata, v, path)
    if f.metadata["location"] and isinstance(result, str):
        return os.path.expanduser(result)
    return result


def _check_type(hint: Any, value: Any, path: KeyPath) -> Any:
    """Check `value` against a type hint: a scalar, `scalar | None`, or `tuple[scalar, ...]`."""
    if isinstance(hint, types.UnionType):
        inner = next(a for a in hint.__args__ if a is not types.NoneType)
        return None if value is None else _check_type(inner, value, path)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise OptionError(path, f"must be a list, not {value!r}")
        return tuple(_check_type(hint.__args__[0], v, path) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else math.inf
    if type(value) is hint:
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise OptionError(path, f"must be {names[hint]}, not {value!r}{_yaml_hint(hint, value)}")


def _yaml_hint(hint: type, value: Any) -> str:
    """Return a hint where quotes or a decimal point gave a value of another type than meant."""
    if hint is str:
        return quotes_hint(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return f" (write {value:.0f})"
    if hint in (int, float) and isinstance(value, str) and re.fullmatch(r"[-+]?0[0-9]+", value):
        return f" (write {int(value)})"  # YAML 1.1 reads a leading 0 as octal
    if hint in (int, float) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            float(value)
            return " (write it without quotes)"
    return ""


def _check_bounds(limits: Mapping[str, Any], value: Any, path: KeyPath) -> None:
    """Refuse a value that is no choice, not finite, or out of range."""
    choices, low, high, above = (limits[k] for k in ("choices", "low", "high", "above"))
    if choices and value not in choices:
        raise OptionError(path, f"{value!r} is not known; {suggest(value, choices, VALUES)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(path, f"must be a finite number, not {value}")
    if low is not None and value < low:
        raise OptionError(path, f"must be at least {low:g}, not {value!r}")
    if above is not None and value <= above:
        raise OptionError(path, f"must be above {above:g}, not {value!r}")
    if high is not None and value > high:
        raise OptionError(path, f"must be at most {high:g}, not {value!r}")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise OptionError(path, "must lie between -2^53 and 2^53; take a smaller number")
