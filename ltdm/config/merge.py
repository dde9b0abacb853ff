"""Merging the layers of a config: files over files, and runs over data sets over defaults.

Mappings are merged key by key, and lists are replaced; so is an option that is one of several
mappings (`class_sampling`). A part (network, process, method, sampler) that gets another name is
replaced with its options. An empty section changes nothing, but null turns off an option that is a
set of options (`train.posthoc_ema`).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from yaml import BaseLoader

from ltdm.config.grid import GRID_AXES
from ltdm.config.strict_yaml import StrictLoader, TrapError
from ltdm.plumbing.environment import check_environment
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import KeyPath, as_mapping, reject_unknown, suggest
from ltdm.plumbing.registry import DEFAULT_PARTS

PART_KEYS = (*DEFAULT_PARTS, "sampler")
SECTIONS = (*DEFAULT_PARTS, "train", "sample")
"""The sections that `defaults`, a data set and a run may have."""
NULLABLE_KEYS = {"train": ("ensemble", "posthoc_ema"), "evaluate": ("probe",)}
"""By section, the options that are sets of options, which null turns off."""
WHOLE_KEYS = ("class_sampling", "guidance_schedule")
"""Options that are one of several mappings, such as `{power: a}` and `{brs: f}`."""
NAME_KEYS = ("experiment", *GRID_AXES)
"""Keys whose values on a command line are names, or numbers that select by their text."""
ConfigLayer = tuple[KeyPath, Mapping[str, Any]]
"""The path of a layer in the config, and its sections."""


def read_config(files: list[Path]) -> dict[str, Any]:
    """Return the merged content of config files, later ones over earlier ones.

    Each file lies over the files that it inherits.

    Raises:
        LtdmError: A file is missing, is not YAML, or inherits itself; or a variable of the
            environment is bad.
    """
    check_environment()
    return merge([read_layers(Path(file), ())[0] for file in files])


def read_layers(
    file: Path, heirs: tuple[Path, ...]
) -> tuple[dict[str, Any], list[tuple[Path, dict[str, Any]]]]:
    """Read one file over those that its `inherits` names, whose paths are relative to it.

    `heirs` are the files that inherit it, directly or not, from the outermost. Return the merged
    content, and the files with their own contents, later ones over earlier ones.
    """
    content = _read_yaml(file, heirs)
    own = as_mapping(content, (str(file),))
    inherits = own.pop("inherits", [])
    inherits = [inherits] if isinstance(inherits, str) else inherits
    if not isinstance(inherits, list) or not all(isinstance(path, str) for path in inherits):
        raise OptionError((str(file), "inherits"), f"must be a list of files, not {inherits!r}")
    heirs = (*heirs, file.resolve())
    inherited = [read_layers(file.parent / path, heirs) for path in inherits]
    merged = merge([*(content for content, _ in inherited), own])
    return merged, [*(layer for _, layers in inherited for layer in layers), (file, own)]


def _read_yaml(file: Path, heirs: tuple[Path, ...]) -> Any:
    """Return the content of a YAML file; `heirs` as in `read_layers`."""
    try:
        if file.resolve() in heirs:
            raise LtdmError(f"{file} inherits itself, through {heirs[-1]}; take one `inherits` out")
        return yaml.load(file.read_text(encoding="utf-8"), StrictLoader)
    except OSError as error:
        heir = f", which {heirs[-1]} inherits" if heirs else ""
        raise LtdmError(f"cannot read the config {file}{heir}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        if "\0" in str(file):
            raise LtdmError(
                f"cannot read the config {str(file)!r}: no file has such a name"
            ) from None
        raise LtdmError(f"{file}{yaml_fault(error)}") from error


def yaml_fault(error: Exception) -> str:
    """Return the line and the fault, to follow the name of what is not YAML, from its error."""
    if isinstance(error, TrapError):
        return f", line {error.line}: {error}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark and error.problem:
        return (
            f", line {error.problem_mark.line + 1}: is not YAML: {' '.join(error.problem.split())}"
        )
    return " is not YAML: write `key: value` on lines of text in UTF-8"


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
            raise LtdmError(f"--config {key}{yaml_fault(error)}") from error
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
    both_mappings = isinstance(base, Mapping) and isinstance(value, Mapping)
    if not both_mappings or key in WHOLE_KEYS:
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


def split_run(
    name: str, value: Any, sample_sets: Mapping[str, Any]
) -> tuple[str, dict[str, Any], list[str]]:
    """Return the name of an entry of `runs`, its sections, and its sample sets: all not left out.

    Raises:
        OptionError: A section is unknown, or a sample set is not under `sample_sets`.
    """
    entry = {**as_mapping(value, ("runs", name))}
    path, omitted = ("runs", name, "omit_sample_sets"), entry.pop("omit_sample_sets", [])
    if not isinstance(omitted, list):
        raise OptionError(path, f"must be a list of names, not {omitted!r}")
    for sample_set in omitted:
        if not isinstance(sample_set, str) or sample_set not in sample_sets:
            hint = suggest(sample_set, sample_sets)
            raise OptionError(path, f"{sample_set!r} is not under `sample_sets`; {hint}")
    own = [sample_set for sample_set in sample_sets if sample_set not in omitted]
    return name, check_sections(entry, ("runs", name)), own


@contextmanager
def relocate_errors(layers: list[ConfigLayer], owner: str, sample_set: str = "") -> Iterator[None]:
    """Raise an OptionError about merged options with the path in the layer that set the option.

    That is the topmost layer that sets it, or else the topmost that sets the part or section that
    it belongs to, or else `defaults`. The message names the `owner` of the options, such as `run
    ddpm on digits`, and the `sample_set`, if there is one, unless the path does.
    """
    try:
        yield
    except OptionError as error:
        path = error.path
        owners = {"runs": owner, "sample_sets": sample_set and f"sample set {sample_set}"}
        for length in range(len(path), 0, -1):
            for layer_path, layer in reversed(layers):
                if sets_path(layer, path[:length]):
                    # A sample set's options are right under its name in the file.
                    in_layer = path[1:] if layer_path[0] == "sample_sets" else path
                    named = [text for key, text in owners.items() if text and key != layer_path[0]]
                    message = f"{error.message} ({', '.join(named)})" if named else error.message
                    raise OptionError((*layer_path, *in_layer), message) from None
        raise OptionError(("defaults", *path), f"{error.message} ({owner})") from None


def sets_path(layer: Any, path: KeyPath) -> bool:
    """Whether a layer has a value at a path."""
    if not path or isinstance(layer, list):  # a list of methods used together
        return True
    if isinstance(layer, str):  # the bare name of a part
        return path[0] == "name"
    return isinstance(layer, Mapping) and path[0] in layer and sets_path(layer[path[0]], path[1:])
