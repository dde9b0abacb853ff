"""The config's reference, made from the options themselves: a JSON schema, and tables in Markdown.

`make docs` writes both into the repository; a test fails where they have fallen behind.
"""

import types
import typing
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from ltdm.config.evaluation import Evaluation
from ltdm.config.grid import GRID_AXES, NAME_PATTERN
from ltdm.config.runs import RunOptions
from ltdm.data._longtail import LongTail
from ltdm.plumbing.option_values import to_config
from ltdm.plumbing.options import Nested
from ltdm.plumbing.registry import (
    DEFAULT_PARTS,
    FOLDERS,
    LABELLABLE,
    PartOption,
    load_module,
    part_names,
)
from ltdm.samplers._options import SampleOptions
from ltdm.theory.options import Sweep

SCHEMA = "workflow/schemas/config.schema.yaml"
PAGE = "config/README.md"
MARKER = "<!-- From here on written by `make docs` from the options in the code. -->\n"
PATTERN = f"^{NAME_PATTERN.pattern}$"
SCALARS = {int: "integer", float: "number", bool: "boolean", str: "string"}
AXES = {
    "dataset": "Names under `datasets`.",
    "run": "Names under `runs`.",
    "seed": "Whole numbers; each is a network of its own.",
    "sample_set": "Names under `sample_sets`; all of them by default.",
}
LABEL = {
    "type": "string",
    "description": "What files and tables call it, where a part is used twice; else its name.",
}
REFERENCE = "The split that metrics compare with, whole, where the source has a test split."


def write(root: Path) -> None:
    """Write both into the checkout at `root`."""
    (root / SCHEMA).write_text(schema_text(), encoding="utf-8")
    page = root / PAGE
    page.write_text(page_text(page.read_text(encoding="utf-8")), encoding="utf-8")


def schema_text() -> str:
    """Return the schema as YAML."""
    head = "# The config's JSON schema, for editors. Written by `make docs`; do not edit.\n"
    return head + yaml.safe_dump(schema(), sort_keys=False, width=100)


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a config file.

    A file may lie over others, so nothing is required here; the loader looks at the whole.
    """
    sections = {k: _part(k) for k in DEFAULT_PARTS}
    one = sections["method"]["anyOf"]
    several = {"type": "array", "minItems": 1, "items": {"anyOf": one}}
    together = "The method, or a list of them that are used together."
    sections["method"] = {"description": together, "anyOf": [*one, several]}
    sections["train"] = _object(RunOptions, "The training loop.")
    sections["sample"] = _object(SampleOptions, "The sample set.")
    listed = {"type": "array", "minItems": 1, "uniqueItems": True}
    seeds = {**listed, "items": {"type": "integer", "minimum": 0}}
    axes = {k: {"description": v, **(seeds if k == "seed" else listed)} for k, v in AXES.items()}
    top = {
        "experiment": {
            "description": "Name of the results folder.", "type": "string", "pattern": PATTERN,
        },
        "grid": {"description": "What is run: every combination of these lists.", **_closed(axes)},
        "datasets": _named("Long-tailed data sets by name.", _datasets(sections)),
        "defaults": {"description": "What every run starts from.", **_closed(sections)},
        "runs": _named("What each run changes.", {**_closed(sections), "type": ["object", "null"]}),
        "sample_sets": _named("What each sample set changes.", sections["sample"]),
        "evaluate": _object(Evaluation, "What is measured and shown."),
        "theory": _named("Sweeps of the theory lab by name.", _object(Sweep, "A sweep.")),
        "inherits": {
            "description": "Config files that this one lies over, relative to it.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
        **{
            axis: {"description": f"Only these entries of the grid's `{axis}`."}
            for axis in GRID_AXES
        },
    }  # fmt: skip
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "ltdm experiment", **_closed(top)}


def page_text(page: str) -> str:
    """Return the page with the part after the marker written anew."""
    text = page.partition(MARKER)[0] + MARKER
    text += "\n## `datasets.<name>`\n\n"
    text += "`source` names the data source; its own options and these stand beside it.\n\n"
    split = f"| {_key('datasets', 'reference_split')} | `train` | {REFERENCE} |\n"
    text += table(LongTail, "datasets") + split
    for title, cls in (("train", RunOptions), ("sample", SampleOptions), ("evaluate", Evaluation)):
        text += f"\n## `{title}`\n\n{table(cls, title)}"
        for f in fields(cls):
            if isinstance(nested := f.metadata["parser"], Nested):
                text += f"\n### `{title}.{f.name}`\n\n{table(nested.cls, f'{title}.{f.name}')}"
    text += f"\n## `theory.<name>`\n\n{table(Sweep, 'theory')}"
    for kind in FOLDERS:
        text += f"\n## {kind.capitalize()}{'es' if kind.endswith('s') else 's'}\n"
        for name in part_names(kind):
            module = load_module(kind, name, ())
            text += f"\n### `{name}`\n\n{_summary(module)}\n\n{table(module.Options, name)}"
    return text


def table(cls: type, section: str = "") -> str:
    """Return the options of a dataclass as a table in Markdown; in a section, keys have anchors."""
    rows = [
        (_key(section, f.name), _shown(f), f.metadata["help"] + _limits(f)) for f in fields(cls)
    ]
    lines = [("key", "default", "meaning"), ("---", "---", "---"), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) if rows else "No options.\n"


def _key(section: str, name: str) -> str:
    anchor = f'<a id="{section}.{name}"></a>' if section else ""
    return f"{anchor}`{name}`"


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _shown(f: Field[Any]) -> str:
    default = f.default if f.default_factory is MISSING else f.default_factory()
    if default is MISSING:
        return "required"
    value = to_config(default)
    if isinstance(value, dict) and list(value) == ["name"]:
        value = value["name"]
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).splitlines()[0]}`"


def _limits(f: Field[Any]) -> str:
    limits = f.metadata
    if limits["choices"]:
        return f" One of {', '.join(f'`{c}`' for c in limits['choices'])}."
    words = {"low": "at least", "above": "above", "high": "at most"}
    said = [f"{word} {limits[k]:g}" for k, word in words.items() if limits[k] is not None]
    return f" ({', '.join(said)})" if said else ""


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _named(description: str, entry: dict[str, Any]) -> dict[str, Any]:
    pattern = {"propertyNames": {"pattern": PATTERN}, "additionalProperties": entry}
    return {"description": description, "type": "object", **pattern}


def _object(cls: type, description: str) -> dict[str, Any]:
    return {"description": description, **_closed(_properties(cls))}


def _properties(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: _option(f, hints[f.name]) for f in fields(cls)}


def _option(f: Field[Any], hint: Any) -> dict[str, Any]:
    convert = f.metadata["parser"]
    if isinstance(convert, PartOption):
        one = _part(convert.kind)
        form = {"type": "array", "minItems": 1, "items": one} if convert.many else one
    elif isinstance(convert, Nested):
        form = {**_object(convert.cls, ""), "type": ["object", "null"]}
    else:
        form = convert.schema if convert else _type(hint, f.metadata)
    return {**form, "description": f.metadata["help"]}


def _type(hint: Any, limits: Any) -> dict[str, Any]:
    if isinstance(hint, types.UnionType):
        inner = _type(next(a for a in hint.__args__ if a is not types.NoneType), limits)
        return {**inner, "type": [inner["type"], "null"]}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _type(hint.__args__[0], limits)}
    names_of = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum"}
    bounds = {new: limits[old] for old, new in names_of.items() if limits[old] is not None}
    enum = {"enum": list(limits["choices"])} if limits["choices"] else {}
    return {"type": SCALARS[hint], **bounds, **enum}


def _part(kind: str) -> dict[str, Any]:
    """A bare name, or a mapping of a name and its options; the name may be inherited."""
    forms: list[dict[str, Any]] = [{"enum": part_names(kind)}]
    for name in part_names(kind):
        module = load_module(kind, name, ())
        own = {"name": {"const": name}} | ({"label": LABEL} if kind in LABELLABLE else {})
        properties = _closed({**own, **_properties(module.Options)})
        forms.append({"description": _summary(module), **properties})
    return {"description": f"The {kind}: its name, or `{{name: ..., options}}`.", "anyOf": forms}


def _datasets(sections: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "source": {"description": "The data source.", "enum": part_names("source")},
        "reference_split": {"description": REFERENCE, "enum": ["train", "test"]},
    }
    for options in (
        *(load_module("source", name, ()).Options for name in part_names("source")),
        LongTail,
    ):
        properties |= _properties(options)
    return _closed({**properties, **sections})
