"""Options as plain YAML values: those that are set, those at their defaults, and places."""

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any


def non_defaults(options: Any) -> dict[str, Any]:
    """Return the options that differ from their defaults, sorted, as plain YAML values.

    So a request is the same where an option is spelled out at its default, or lies elsewhere.
    """
    return _differing_options(options, location=False)


def locations(options: Any) -> dict[str, Any]:
    """Return what `changed` leaves out: the options that say where something lies."""
    return _differing_options(options, location=True)


def defaults(options: Any) -> Any:
    """Return the options that `changed` leaves out, at their defaults, nested ones included.

    Records keep them, so that a default that changes is seen, while an option that is new is not.
    """
    found = {}
    for f in fields(_options(options)):
        value = getattr(_options(options), f.name)
        if not f.metadata["location"]:
            if value == _default(f):
                found[f.name] = _spell_out(value)
            elif left := _remaining_defaults(value):
                found[f.name] = left
    return dict(sorted(found.items()))


def _options(value: Any) -> Any:
    """Return the options of a part, or those given."""
    return getattr(value, "options", value)


def _holds_options(value: Any) -> bool:
    one = _options(value)
    return is_dataclass(one) and all("location" in f.metadata for f in fields(one))


def _remaining_defaults(value: Any) -> Any:
    """Return the defaults that are left within an option's value."""
    if isinstance(value, tuple):
        return [_remaining_defaults(v) for v in value] if any(map(_holds_options, value)) else []
    return defaults(value) if _holds_options(value) else {}


def _spell_out(value: Any) -> Any:
    """Return a value as YAML would hold it, with every option spelled out."""
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
    found = {}
    for f in sorted(fields(options), key=lambda f: f.name):
        value = getattr(options, f.name)
        if value != _default(f) and f.metadata["location"] == location:
            found[f.name] = to_config(value)
    return found


def to_config(value: Any) -> Any:
    """Turn an option's value back into what YAML would hold."""
    if hasattr(value, "to_config"):
        return value.to_config()
    if isinstance(value, tuple):
        return [to_config(v) for v in value]
    return non_defaults(value) if is_dataclass(value) else value
