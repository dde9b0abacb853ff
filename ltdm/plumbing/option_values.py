"""Options as plain YAML values: those that differ from their defaults, defaults, and locations."""

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any


def non_defaults(options: Any) -> dict[str, Any]:
    """Return the options that differ from their defaults, sorted, as plain YAML values.

    Locations are left out. So a request stays the same when a config spells out a default, or when
    a file is moved.
    """
    return _differing_options(options, location=False)


def locations(options: Any) -> dict[str, Any]:
    """Return the options that only say where something lies, if they differ from their defaults."""
    return _differing_options(options, location=True)


def defaults(options: Any) -> Any:
    """Return the options that are at their defaults, nested ones included, without locations.

    Records keep them: a default that a later version changes is noticed, a new option is not.
    """
    result = {}
    for f in fields(_options(options)):
        value = getattr(_options(options), f.name)
        if not f.metadata["location"]:
            if value == _default(f):
                result[f.name] = _spell_out(value)
            elif inner := _inner_defaults(value):
                result[f.name] = inner
    return dict(sorted(result.items()))


def _options(value: Any) -> Any:
    """Return the options of a part; options are returned as they are."""
    return getattr(value, "options", value)


def _holds_options(value: Any) -> bool:
    options = _options(value)
    return is_dataclass(options) and all("location" in f.metadata for f in fields(options))


def _inner_defaults(value: Any) -> Any:
    """Return the options inside an option's value that are at their defaults."""
    if isinstance(value, tuple):
        return [_inner_defaults(v) for v in value] if any(map(_holds_options, value)) else []
    return defaults(value) if _holds_options(value) else {}


def _spell_out(value: Any) -> Any:
    """Return an option's value as plain YAML with every inner option spelled out."""
    if isinstance(value, tuple):
        return [_spell_out(v) for v in value]
    if not _holds_options(value):
        return to_config(value)
    options = _options(value)
    inner = {f.name: _spell_out(getattr(options, f.name)) for f in fields(options)}
    return inner if options is value else {"name": value.name, **inner}


def _default(f: Field[Any]) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _differing_options(options: Any, location: bool) -> dict[str, Any]:
    """Return the options that differ from their defaults: locations, or all others."""
    result = {}
    for f in sorted(fields(options), key=lambda f: f.name):
        value = getattr(options, f.name)
        if value != _default(f) and f.metadata["location"] == location:
            result[f.name] = to_config(value)
    return result


def to_config(value: Any) -> Any:
    """Return an option's value as plain YAML, by its own `to_config` if it has one."""
    if hasattr(value, "to_config"):
        return value.to_config()
    if isinstance(value, tuple):
        return [to_config(v) for v in value]
    return non_defaults(value) if is_dataclass(value) else value
