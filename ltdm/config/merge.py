"""Merging the layers of a config: files over files, and runs over data sets over defaults.

Mappings are merged key by key, and lists are replaced. A part (network, process, method, sampler)
that gets another name is replaced with its options. An empty section changes nothing, but null
turns off an option that is a set of options (`train.posthoc_ema`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from yaml import BaseLoader

from ltdm.config.grid import GRID_AXES
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import KeyPath, as_mapping, reject_unknown
from ltdm.plumbing.registry import DEFAULT_PARTS
from ltdm.plumbing.renamed import check_environment

PART_KEYS = (*DEFAULT_PARTS, "sampler")
SECTIONS = (*DEFAULT_PARTS, "train", "sample")
"""The sections that `defaults`, a data set and a run may have."""
NULLABLE_KEYS = {"train": ("ensemble", "posthoc_ema"), "evaluate": ("probe",)}
"""By section, the options that are sets of options, which null turns off."""
NAME_KEYS = ("experiment", *GRID_AXES)
"""Keys whose values on a command line are names, or numbers that select by their text."""
ConfigLayer = tuple[KeyPath, Mapping[str, Any]]
"""The path of a layer in the config, and its sections."""


class TrapError(yaml.YAMLError):
    """Valid YAML that means something else than it seems, such as 010, which is 8."""

    def __init__(self, node: yaml.Node, message: str):
        super().__init__(message)
        self.line = node.start_mark.line + 1


class StrictLoader(yaml.SafeLoader):
    """YAML loader that reads 2e-4 as a number, as in YAML 1.2, and refuses traps of YAML 1.1.

    Traps are 010, which is 8 there, 1:30, which is 90, and a key that is there twice.
    """

    def compose_mapping_node(self, anchor: dict[Any, Any]) -> yaml.MappingNode:
        """Refuse a key that is there twice; keys merged by `<<` are added later."""
        node = super().compose_mapping_node(anchor)
        names = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in names:
                raise TrapError(key, f"the key {key.value!r} is there twice; leave one out")
            names.add(key.value if isinstance(key.value, str) else "")
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Return a number; refuse one that YAML 1.1 reads as octal or as base 60."""
        text = self.construct_scalar(node)
        if octal := re.fullmatch(r"([-+]?)0([0-9_]+)", text):
            decimal = octal[1] + (octal[2].replace("_", "").lstrip("0") or "0")
            message = f"{text} is a number that YAML 1.1 reads as octal; write {decimal} or"
            raise TrapError(node, f'{message} "{text}"')
        if ":" in text:
            message = f'{text} is a number that YAML 1.1 reads in base 60; write "{text}" in quotes'
            raise TrapError(node, message)
        is_int = node.tag.endswith(":int")
        return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)


for number_type in ("int", "float"):
    StrictLoader.add_constructor(f"tag:yaml.org,2002:{number_type}", StrictLoader.construct_number)
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_config(files: list[Path]) -> dict[str, Any]:
    """Return the merged content of config files, later ones over earlier ones.

    Each file lies over the files that it inherits.

    Raises:
        LtdmError: A file is missing, is not YAML, or inherits itself; or the environment has a
            variable of ltdm 0.1.0, which would be ignored.
    """
    check_environment()
    return merge([_read_file(Path(file), ()) for file in files])


def _read_file(file: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    """Read one file over those that its `inherits` names, whose paths are relative to it.

    `heirs` are the files that inherit it, directly or not, from the outermost.
    """
    content = _read_yaml(file, heirs)
    own = as_mapping(content, (str(file),))
    inherits = own.pop("inherits", [])
    inherits = [inherits] if isinstance(inherits, str) else inherits
    if not isinstance(inherits, list) or not all(isinstance(path, str) for path in inherits):
        raise OptionError((str(file), "inherits"), f"must be a list of files, not {inherits!r}")
    heirs = (*heirs, file.resolve())
    return merge([*(_read_file(file.parent / path, heirs) for path in inherits), own])


def _read_yaml(file: Path, heirs: tuple[Path, ...]) -> Any:
    """Return the content of a YAML file; `heirs` as in `_read_file`."""
    try:
        if file.resolve() in heirs:
            raise LtdmError(f"{file} inherits itself, through {heirs[-1]}; take one `inherits` out")
        return yaml.load(file.read_text(encoding="utf-8"), StrictLoader)
    except OSError as error:
        heir = f", which {heirs[-1]} inherits" if heirs else ""
        raise LtdmError(f"cannot read the config {file}{heir}: {error.strerror}") from error
    except TrapError as error:
        raise LtdmError(f"{file}, line {error.line}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise LtdmError(f"{file} is not YAML: {' '.join(str(error).split())}") from error


def parse_cli_config(entries: Iterable[str]) -> dict[str, Any]:
    """Return the config of a command line's entries, each `KEY=VALUE` with the value in YAML.

    Under `NAME_KEYS`, `no` and `1e1` are text, as they are for `ltdm --run`.

    Raises:
        LtdmError: A value is not YAML.
    """
    layers: list[Mapping[str, Any]] = []
    for entry in entries:
        key, _, text = entry.partition("=")
        try:
            layers.append({key: yaml.load(text, BaseLoader if key in NAME_KEYS else StrictLoader)})
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            fault = error if isinstance(error, TrapError) else f"is not YAML: {error}"
            raise LtdmError(f"--config {key}: {' '.join(str(fault).split())}") from error
    return merge(layers)


def merge(layers: list[Mapping[str, Any]], section: str = "") -> dict[str, Any]:
    """Merge the contents of a section from several layers, later ones over earlier ones.

    The rules are those of this module; `section` is empty for the contents of whole files.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            merged[key] = _merge_value(key, merged.get(key), value, section)
    return merged


def _merge_value(key: str, base: Any, value: Any, section: str) -> Any:
    """Return what a key of a section holds when `value` is laid over `base`."""
    if key in PART_KEYS:
        base, value = ({"name": v} if isinstance(v, str) else v for v in (base, value))
    if value is None and isinstance(base, Mapping) and key not in NULLABLE_KEYS.get(section, ()):
        return base  # an empty section changes nothing
    if not isinstance(base, Mapping) or not isinstance(value, Mapping):
        return value
    if key in PART_KEYS and value.get("name", base.get("name")) != base.get("name"):
        return dict(value)
    return merge([base, value], key)


def check_sections(value: Any, path: KeyPath) -> dict[str, Any]:
    """Return the sections of a layer at `path` of the config, without empty ones.

    Raises:
        OptionError: A section is unknown, or neither a mapping nor the name of a part.
    """
    sections = as_mapping(value, path)
    reject_unknown(sections, SECTIONS, path)
    for key, section in sections.items():
        if key in DEFAULT_PARTS and section is None:
            raise OptionError((*path, key), f"is empty; name a {key} or leave the key out")
        is_list = key == "method" and isinstance(section, list)  # methods used together
        if not is_list and not (key in DEFAULT_PARTS and isinstance(section, str)):
            as_mapping(section, (*path, key))
    return {k: v for k, v in sections.items() if v is not None}


@contextmanager
def relocate_errors(layers: list[ConfigLayer]) -> Iterator[None]:
    """Raise an OptionError about merged options with the path in the layer that set the option.

    That is the topmost layer that sets it, or else the topmost that sets the part or section that
    it belongs to, or else `defaults`.
    """
    try:
        yield
    except OptionError as error:
        path = error.path
        for length in range(len(path), 0, -1):
            for layer_path, layer in reversed(layers):
                if _sets(layer, path[:length]):
                    # A sample set's options are right under its name in the file.
                    in_layer = path[1:] if layer_path[0] == "sample_sets" else path
                    raise OptionError((*layer_path, *in_layer), error.message) from None
        raise OptionError(("defaults", *path), error.message) from None


def _sets(layer: Any, path: KeyPath) -> bool:
    """Whether a layer has a value at a path."""
    if not path or isinstance(layer, list):  # a list of methods used together
        return True
    if isinstance(layer, str):  # the bare name of a part
        return path[0] == "name"
    return isinstance(layer, Mapping) and path[0] in layer and _sets(layer[path[0]], path[1:])
