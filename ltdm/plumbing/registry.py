"""Names to parts: a part is one file in its kind's folder, and the file's name is the part's name.

A part's module holds its code, its options (a frozen dataclass called `Options`), its citation and
its documentation. Adding a file adds the part; nothing else has to know.
"""

import importlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from ltdm.plumbing.code_digest import digest
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import KeyPath, as_mapping, parse, suggest

LABEL = re.compile(r"[a-z][a-z0-9-]*")
FOLDERS = {
    "source": "data",
    "network": "networks",
    "process": "diffusion",
    "method": "methods",
    "sampler": "samplers",
    "extractor": "features",
    "metric": "metrics",
}

LABELLABLE = ("extractor", "metric")
"""The kinds of which one part may be used several times, under labels of its own."""

DEFAULT_PARTS = {"network": "unet", "process": "vp", "method": "ddpm"}
"""The parts that make up a run, and what they are when the config names none."""


@dataclass(frozen=True)
class Part:
    """A named part with its parsed options."""

    kind: str
    name: str
    options: Any
    custom_label: str = ""

    @property
    def label(self) -> str:
        """What files and tables call the part: the label given to it, else its name."""
        return self.custom_label or self.name

    @property
    def module(self) -> ModuleType:
        """The part's file."""
        return importlib.import_module(module_name(self.kind, self.name))

    def __str__(self) -> str:
        """Write the part in a word: `ddim(steps=25)`."""
        return f"{self.name}({self.options_text})" if self.options_text else self.name

    @property
    def options_text(self) -> str:
        """The options that differ from their defaults, in a word: `steps=25`."""
        return ", ".join(f"{k}={v}" for k, v in non_defaults(self.options).items())

    def to_config(self) -> dict[str, Any]:
        """Return the name and the options that differ from their defaults, as YAML would."""
        label = {"label": self.custom_label} if self.custom_label else {}
        return {"name": self.name, **label, **non_defaults(self.options)}


def part_names(kind: str) -> list[str]:
    """Return the names of all parts of a kind."""
    folder = Path(__file__).parents[1] / FOLDERS[kind]
    return sorted(file.stem.replace("_", "-") for file in folder.glob("[!_]*.py"))


def module_name(kind: str, name: str) -> str:
    """Return the dotted name of a part's file."""
    return f"ltdm.{FOLDERS[kind]}.{name.replace('-', '_')}"


def load_module(kind: str, name: object, path: KeyPath) -> ModuleType:
    """Import a part's file; `path` is where the config names it."""
    if name not in part_names(kind):
        raise OptionError(path, f"no {kind} is called {name!r}; {suggest(name, part_names(kind))}")
    return importlib.import_module(module_name(kind, str(name)))


def parse_part(kind: str, value: object, path: KeyPath) -> Part:
    """Parse a part from config: its bare name, or a mapping of `name` and options."""
    given = {"name": value} if isinstance(value, str) else as_mapping(value, path)
    if "name" not in given:
        raise OptionError((*path, "name"), f"is missing; known: {', '.join(part_names(kind))}")
    module = load_module(kind, given["name"], (*path, "name"))
    name, label = given.pop("name"), ""
    if kind in LABELLABLE and "label" in given:
        label = _check_label(kind, given.pop("label"), (*path, "label"))
    own = _option_names(kind, name)
    for key in sorted(given.keys() - {*own}):
        if theirs := [n for n in part_names(kind) if key in _option_names(kind, n)]:
            whose = f"is an option of {' and '.join(theirs)}, not of {name}"
            here = ", ".join(own) or "none"
            raise OptionError((*path, key), f"{whose}, whose own are: {here}")
    return Part(kind, name, parse(module.Options, given, path), label)


def _check_label(kind: str, value: object, path: KeyPath) -> str:
    """Check a label, which becomes a file's name."""
    if value in part_names(kind):
        raise OptionError(path, f"{value!r} is itself the name of a {kind}; choose another")
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        rule = "must be small letters, digits and '-', beginning with a letter"
        raise OptionError(path, f"{rule}, not {value!r}")
    return value


def _option_names(kind: str, name: str) -> list[str]:
    """Return the names of a part's options."""
    return [f.name for f in fields(load_module(kind, name, ()).Options)]


def parse_parts(kind: str, value: object, path: KeyPath) -> tuple[Part, ...]:
    """Parse one part, or a list of them that are used together."""
    if isinstance(value, list | tuple):
        return parse_part_list(kind, value, path)
    return (parse_part(kind, value, path),)


def parse_part_list(kind: str, value: object, path: KeyPath) -> tuple[Part, ...]:
    """Parse a list of at least one part, none of them twice under the same label."""
    if not isinstance(value, list | tuple) or not value:
        raise OptionError(path, f"must be a list of at least one {kind}, not {value!r}")
    found = tuple(parse_part(kind, v, (*path, str(i))) for i, v in enumerate(value))
    if len({p.label for p in found}) < len(found):
        apart = "; tell them apart by `label`" if kind in LABELLABLE else ""
        raise OptionError(path, f"names a {kind} twice{apart}")
    return found


def parts_to_config(found: tuple[Part, ...]) -> Any:
    """Return what YAML would hold of one part, or of several."""
    return found[0].to_config() if len(found) == 1 else [part.to_config() for part in found]


def stage_digest(stage: str, *parts: Part) -> str:
    """Return the code of a stage and its parts: their names and a digest, `train unet: 3f2a..`."""
    what = " ".join([stage, *(part.name for part in parts)])
    modules = (module_name(part.kind, part.name) for part in parts)
    return f"{what}: {digest(f'ltdm.stages.{stage}', *modules)}"


@dataclass(frozen=True)
class PartOption:
    """Parser of an option that is a part of some kind, or a list of such parts."""

    kind: str
    many: bool = False

    def __call__(self, value: Any, path: KeyPath) -> Part | tuple[Part, ...]:
        """Parse what the config gives."""
        read = parse_part_list if self.many else parse_part
        return read(self.kind, value, path)
