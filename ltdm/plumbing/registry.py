"""Registry of parts: a part is one file in its kind's folder, and is called as the file is.

A part's module holds its code, its options (a frozen dataclass called `Options`), its citation and
its documentation. Adding the file is all that adds a part.
"""

import importlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from ltdm.plumbing.code_digest import digest
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.names import check_name
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import KeyPath, as_mapping, parse, reject_unknown, suggest

LABEL = re.compile(r"[a-z][a-z0-9-]*")
LABEL_RULE = "text of lower-case letters, digits and '-', beginning with a letter"
FOLDERS = {
    "source": "data",
    "network": "networks",
    "process": "diffusion",
    "method": "methods",
    "sampler": "samplers",
    "extractor": "features",
    "metric": "metrics",
}

KEYS = {"extractor": ("label",), "metric": ("label", "extractor")}
"""Keys of a part beside its name and options, for kinds that have any.

`label` lets one part be used several times. `extractor` is the label of the only extractor with
which a metric is computed.
"""

DEFAULT_PARTS = {"network": "unet", "process": "vp", "method": "ddpm"}
"""The kinds of part that a run consists of, with the part used if the config names none."""


@dataclass(frozen=True)
class Part:
    """A named part with its parsed options."""

    kind: str
    name: str
    options: Any
    custom_label: str = ""
    extractor: str = ""

    @property
    def label(self) -> str:
        """The part's name in files and tables: its custom label, or else its name."""
        return self.custom_label or self.name

    @property
    def module(self) -> ModuleType:
        """The part's module."""
        return importlib.import_module(module_name(self.kind, self.name))

    def __str__(self) -> str:
        """Return the part as short text: `ddim(steps=25)`."""
        return f"{self.name}({self.options_text})" if self.options_text else self.name

    @property
    def options_text(self) -> str:
        """The options that differ from their defaults, as short text: `steps=25`."""
        return ", ".join(f"{k}={v}" for k, v in non_defaults(self.options).items())

    def to_config(self) -> dict[str, Any]:
        """Return the name and the options that differ from their defaults, as plain YAML."""
        keys = {"label": self.custom_label, "extractor": self.extractor}
        given = {key: value for key, value in keys.items() if value}
        return {"name": self.name, **given, **non_defaults(self.options)}


def part_names(kind: str) -> list[str]:
    """Return the names of all parts of a kind."""
    folder = Path(__file__).parents[1] / FOLDERS[kind]
    return sorted(file.stem.replace("_", "-") for file in folder.glob("[!_]*.py"))


def module_name(kind: str, name: str) -> str:
    """Return the dotted name of a part's module."""
    return f"ltdm.{FOLDERS[kind]}.{name.replace('-', '_')}"


def load_module(kind: str, name: object, path: KeyPath) -> ModuleType:
    """Import and return a part's module; `path` is where the config names the part.

    Raises:
        OptionError: No part has this name.
    """
    if name not in part_names(kind):
        raise OptionError(path, f"no {kind} is called {name!r}; {suggest(name, part_names(kind))}")
    return importlib.import_module(module_name(kind, str(name)))


def parse_part(kind: str, value: object, path: KeyPath) -> Part:
    """Parse a part from a config: its bare name, or a mapping of `name`, `KEYS` and options.

    Raises:
        OptionError: The part is unknown, or an option of it cannot be used.
    """
    entries = {"name": value} if isinstance(value, str) else as_mapping(value, path)
    if "name" not in entries:
        raise OptionError((*path, "name"), f"is missing; known: {', '.join(part_names(kind))}")
    module = load_module(kind, entries["name"], (*path, "name"))
    name = entries.pop("name")
    keys = {key: entries.pop(key) for key in KEYS.get(kind, ()) if key in entries}
    label = _check_label(kind, keys["label"], (*path, "label")) if "label" in keys else ""
    extractor = ""
    if "extractor" in keys:
        extractor = check_name(keys["extractor"], (*path, "extractor"), LABEL, LABEL_RULE)
    own = _option_names(kind, name)
    for key in sorted(entries.keys() - {*own}):
        if owners := [n for n in part_names(kind) if key in _option_names(kind, n)]:
            message = f"is an option of {' and '.join(owners)}, not of {name}"
            raise OptionError((*path, key), f"{message}, whose own are: {', '.join(own) or 'none'}")
    reject_unknown(entries, [*own, *KEYS.get(kind, ())], path)
    return Part(kind, name, parse(module.Options, entries, path), label, extractor)


def _check_label(kind: str, value: object, path: KeyPath) -> str:
    """Check a label, which becomes a file's name."""
    if value in part_names(kind):
        raise OptionError(path, f"{value!r} is itself the name of a {kind}; choose another")
    return check_name(value, path, LABEL, LABEL_RULE)


def _option_names(kind: str, name: str) -> list[str]:
    """Return the names of a part's options."""
    return [f.name for f in fields(load_module(kind, name, ()).Options)]


def parse_parts(kind: str, value: object, path: KeyPath) -> tuple[Part, ...]:
    """Parse one part, or a list of them that are used together."""
    if isinstance(value, list | tuple):
        return parse_part_list(kind, value, path)
    return (parse_part(kind, value, path),)


def parse_part_list(kind: str, value: object, path: KeyPath) -> tuple[Part, ...]:
    """Parse a list of at least one part, without two of the same label."""
    if not isinstance(value, list | tuple) or not value:
        raise OptionError(path, f"must be a list of at least one {kind}, not {value!r}")
    parts = tuple(parse_part(kind, v, (*path, str(i))) for i, v in enumerate(value))
    if len({p.label for p in parts}) < len(parts):
        way_out = "give each a `label` of its own" if kind in KEYS else "leave one out"
        raise OptionError(path, f"names a {kind} twice; {way_out}")
    return parts


def parts_to_config(parts: tuple[Part, ...]) -> Any:
    """Return one part as plain YAML, or a list of several."""
    return parts[0].to_config() if len(parts) == 1 else [part.to_config() for part in parts]


def stage_digest(stage: str, *parts: Part) -> str:
    """Return what identifies the code of a stage with its parts, such as `train unet: 3f2a..`."""
    label = " ".join([stage, *(part.name for part in parts)])
    modules = (module_name(part.kind, part.name) for part in parts)
    return f"{label}: {digest(f'ltdm.stages.{stage}', *modules)}"


@dataclass(frozen=True)
class PartOption:
    """Parser of an option that is a part of a kind, or with `many` a list of them."""

    kind: str
    many: bool = False

    def __call__(self, value: Any, path: KeyPath) -> Part | tuple[Part, ...]:
        """Parse the config's value at `path`."""
        parser = parse_part_list if self.many else parse_part
        return parser(self.kind, value, path)
