"""The reference of the config, from the options themselves: a JSON schema and Markdown tables.

`make docs` writes both into the repository; a test fails if they are out of date.
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
    KEYS,
    PartOption,
    load_module,
    part_names,
)
from ltdm.samplers._options import SampleOptions
from ltdm.theory.options import Sweep

SCHEMA = "workflow/schemas/config.schema.yaml"
PAGE = "config/README.md"
PAGE_MARKER = "<!-- From here on written by `make docs` from the options in the code. -->\n"
NAME_REGEX = f"^{NAME_PATTERN.pattern}$"
SCALAR_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}
AXIS_HELP = {
    "dataset": "Names under `datasets`.",
    "run": "Names under `runs`.",
    "seed": "Integers from 0; each trains a network of its own.",
    "sample_set": "Names under `sample_sets`; all of them by default.",
}
KEY_HELP = {
    "label": "Name in files and tables, if a part is used twice; by default its own name.",
    "extractor": "Label of the only extractor that it is computed with; by default every one.",
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES = {"type": "array", "items": {"type": "string"}}
RUNS_HELP = "Settings of single runs on this data set, by the run's name; they override the run's."
REFERENCE_HELP = (
    "Split, used in full, that metrics compare with; `test` needs a source with a test split."
)


def write(root: Path) -> None:
    """Write the schema and the page's tables into the checkout at `root`."""
    (root / SCHEMA).write_text(schema_text(), encoding="utf-8")
    page = root / PAGE
    page.write_text(page_text(page.read_text(encoding="utf-8")), encoding="utf-8")


def schema_text() -> str:
    """Return the schema as YAML."""
    head = "# The config's JSON schema, for editors. Written by `make docs`; do not edit.\n"
    return head + yaml.safe_dump(schema(), sort_keys=False, width=100)


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a config file.

    A file may inherit from others, so no key is required here; the loader checks the merged config.
    """
    sections = _sections()
    name = {"description": "Name of the results folder.", "type": "string", "pattern": NAME_REGEX}
    omitted = {"description": "Sample sets that are not drawn from this run.", **NAMES}
    run = {**closed_object({**sections, "omit_sample_sets": omitted}), "type": ["object", "null"]}
    top = {
        "experiment": name,
        "grid": {"description": "Every combination of these lists is run.", **_axes()},
        "datasets": named_mapping("Long-tailed data sets by name.", _datasets(sections)),
        "defaults": {"description": "Settings of every run.", **closed_object(sections)},
        "runs": named_mapping("Runs by name: settings that differ from the defaults.", run),
        "sample_sets": named_mapping(
            "Sample sets by name: settings that differ from the run's.", sections["sample"]
        ),
        "evaluate": options_schema(Evaluation, "Metrics, tables and figures."),
        "theory": named_mapping("Sweeps of the theory lab.", options_schema(Sweep, "A sweep.")),
        "inherits": {
            "description": "Config files that this one overrides, relative to it.",
            "anyOf": [{"type": "string"}, NAMES],
        },
        **{
            axis: {"description": f"Restrict the grid's `{axis}` to these entries."}
            for axis in GRID_AXES
        },
    }
    return {"$schema": DIALECT, "title": "ltdm experiment", **closed_object(top)}


def _sections() -> dict[str, Any]:
    """Return the schemas of what a run consists of: its parts, `train` and `sample`."""
    sections = {kind: _part(kind) for kind in DEFAULT_PARTS}
    forms = sections["method"]["anyOf"]
    several = {"type": "array", "minItems": 1, "items": {"anyOf": forms}}
    description = "The method, or a list of methods to combine."
    sections["method"] = {"description": description, "anyOf": [*forms, several]}
    sections["train"] = options_schema(RunOptions, "The training loop.")
    sections["sample"] = options_schema(SampleOptions, "The sample set.")
    return sections


def _axes() -> dict[str, Any]:
    """Return the schema of the grid: a list of distinct entries per axis."""
    entries = {"type": "array", "minItems": 1, "uniqueItems": True}
    axes = {axis: {"description": help, **entries} for axis, help in AXIS_HELP.items()}
    axes["seed"]["items"] = {"type": "integer", "minimum": 0}
    return closed_object(axes)


def page_text(page: str) -> str:
    """Return the page with its tables, the part after PAGE_MARKER, generated again."""
    text = page.partition(PAGE_MARKER)[0] + PAGE_MARKER
    text += "\n## `datasets.<name>`\n\n"
    text += "`source` names the data source. Its options are set beside the following ones.\n\n"
    split = f"| {_key('datasets', 'reference_split')} | `train` | {REFERENCE_HELP} |\n"
    runs = f"| {_key('datasets', 'runs')} | `{{}}` | {RUNS_HELP} |\n"
    text += options_table(LongTail, "datasets") + split + runs
    for title, cls in (("train", RunOptions), ("sample", SampleOptions), ("evaluate", Evaluation)):
        text += f"\n## `{title}`\n\n{options_table(cls, title)}"
        for f in fields(cls):
            if isinstance(nested := f.metadata["parser"], Nested):
                section = f"{title}.{f.name}"
                text += f"\n### `{section}`\n\n{options_table(nested.cls, section)}"
    text += f"\n## `theory.<name>`\n\n{options_table(Sweep, 'theory')}"
    for kind in FOLDERS:
        text += f"\n## {kind.capitalize()}{'es' if kind.endswith('s') else 's'}\n"
        for name in part_names(kind):
            module = load_module(kind, name, ())
            options = options_table(module.Options, name)
            text += f"\n### `{name}`\n\n{_summary(module)}\n\n{options}"
    return text


def options_table(cls: type, section: str = "") -> str:
    """Return a Markdown table of a dataclass's options; keys of a section have anchors."""
    rows = [
        (_key(section, f.name), _default(f), f.metadata["help"] + _bounds(f)) for f in fields(cls)
    ]
    lines = [("key", "default", "meaning"), ("---", "---", "---"), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) if rows else "No options.\n"


def _key(section: str, name: str) -> str:
    anchor = f'<a id="{section}.{name}"></a>' if section else ""
    return f"{anchor}`{name}`"


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _default(f: Field[Any]) -> str:
    """Return an option's default as YAML in code marks, or `required`."""
    default = f.default if f.default_factory is MISSING else f.default_factory()
    if default is MISSING:
        return "required"
    value = to_config(default)
    if isinstance(value, dict) and list(value) == ["name"]:
        value = value["name"]
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).splitlines()[0]}`"


def _bounds(f: Field[Any]) -> str:
    """Return an option's choices or bounds, as text to append to its help."""
    metadata = f.metadata
    if metadata["choices"]:
        return f" One of {', '.join(f'`{c}`' for c in metadata['choices'])}."
    words = {"low": "at least", "above": "above", "high": "at most"}
    bounds = [f"{word} {metadata[k]:g}" for k, word in words.items() if metadata[k] is not None]
    return f" ({', '.join(bounds)})" if bounds else ""


def closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping with these keys only."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def named_mapping(description: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping of names to entries."""
    pattern = {"propertyNames": {"pattern": NAME_REGEX}, "additionalProperties": entry}
    return {"description": description, "type": "object", **pattern}


def options_schema(cls: type, description: str) -> dict[str, Any]:
    """Return the schema of a dataclass of options."""
    return {"description": description, **closed_object(_properties(cls))}


def _properties(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: _option(f, hints[f.name]) for f in fields(cls)}


def _option(f: Field[Any], hint: Any) -> dict[str, Any]:
    parser = f.metadata["parser"]
    if isinstance(parser, PartOption):
        part = _part(parser.kind)
        form = {"type": "array", "minItems": 1, "items": part} if parser.many else part
    elif isinstance(parser, Nested):
        form = {**options_schema(parser.cls, ""), "type": ["object", "null"]}
    else:
        form = parser.schema if parser else _type_schema(hint, f.metadata)
    return {**form, "description": f.metadata["help"]}


def _type_schema(hint: Any, metadata: Any) -> dict[str, Any]:
    """Return the schema of a type hint: a scalar, a tuple of them, or either or None."""
    if isinstance(hint, types.UnionType):
        inner = _type_schema(next(a for a in hint.__args__ if a is not types.NoneType), metadata)
        return {**inner, "type": [inner["type"], "null"]}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _type_schema(hint.__args__[0], metadata)}
    keywords = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum"}
    bounds = {new: metadata[old] for old, new in keywords.items() if metadata[old] is not None}
    enum = {"enum": list(metadata["choices"])} if metadata["choices"] else {}
    return {"type": SCALAR_TYPES[hint], **bounds, **enum}


def _part(kind: str) -> dict[str, Any]:
    """Return the schema of a part: a name, or a mapping of options with or without the name."""
    forms: list[dict[str, Any]] = [{"enum": part_names(kind)}]
    for name in part_names(kind):
        module = load_module(kind, name, ())
        keys = {k: {"type": "string", "description": KEY_HELP[k]} for k in KEYS.get(kind, ())}
        own = {"name": {"const": name}, **keys, **_properties(module.Options)}
        forms.append({"description": _summary(module), **closed_object(own)})
    return {"description": f"The {kind}: its name, or `{{name: ..., options}}`.", "anyOf": forms}


def _datasets(sections: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a data set: options of any source, and overrides of the sections."""
    properties: dict[str, Any] = {
        "source": {"description": "The data source.", "enum": part_names("source")},
        "reference_split": {"description": REFERENCE_HELP, "enum": ["train", "test"]},
    }
    sources = (load_module("source", name, ()).Options for name in part_names("source"))
    for options in (*sources, LongTail):
        properties |= _properties(options)
    run = {**closed_object(sections), "type": ["object", "null"]}
    return closed_object({**properties, **sections, "runs": named_mapping(RUNS_HELP, run)})
