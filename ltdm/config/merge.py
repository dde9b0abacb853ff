"""Layers of config: files over files, and runs over data sets over defaults.

A mapping is merged key by key; a list is replaced; a part (network, process, method, sampler) that
is given another name is replaced with its options. An empty section says nothing, but null turns
off what is an option and has options of its own (`train.posthoc_ema`).
"""

import re
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import KeyPath, as_mapping, reject_unknown
from ltdm.plumbing.registry import DEFAULT_PARTS

PART_KEYS = (*DEFAULT_PARTS, "sampler")
SECTIONS = (*DEFAULT_PARTS, "train", "sample")
"""What may stand under `defaults`, a data set or a run."""
NULLABLE_KEYS = {"train": ("ensemble", "posthoc_ema"), "evaluate": ("probe",)}
"""Options that are sets of options, which null turns off again."""
ConfigLayer = tuple[KeyPath, Mapping[str, Any]]
"""Where a layer stands in the config, and its sections."""


class StrictLoader(yaml.SafeLoader):
    """YAML without traps: 2e-4 is a number, as in YAML 1.2; what YAML 1.1 alone reads is refused.

    YAML 1.1 reads 010 as 8 and 1:30 as 90. Of two equal keys, the second would silently win.
    """

    def compose_mapping_node(self, anchor: dict[Any, Any]) -> yaml.MappingNode:
        """Refuse a key that is written twice; what `<<` brings in comes later."""
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if isinstance(key, str) and keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice{node.start_mark}")
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Refuse a number that is another one in YAML 1.1 than it seems."""
        text = self.construct_scalar(node)
        if re.fullmatch(r"[-+]?0[0-9_]+|.*:.*", text):
            raise yaml.YAMLError(
                f"{text} is another number in YAML than it seems: leave out leading zeros and"
                f" colons, or put it in quotes{node.start_mark}"
            )
        whole = node.tag.endswith(":int")
        return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)


for kind in ("int", "float"):
    StrictLoader.add_constructor(f"tag:yaml.org,2002:{kind}", StrictLoader.construct_number)
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_config(files: list[Path]) -> dict[str, Any]:
    """Read config files, later ones over earlier ones, each over the files that it inherits.

    Raises:
        LtdmError: A file is missing, is not YAML, or inherits itself.
    """
    return merge([_read_file(Path(file), ()) for file in files])


def _read_file(file: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    """Read one file over those named by its `inherits`, which lie relative to it."""
    try:
        if file.resolve() in heirs:
            raise LtdmError(f"{file} inherits itself, by way of {heirs[-1]}")
        content = yaml.load(file.read_text(encoding="utf-8"), StrictLoader)
    except OSError as error:
        where = f", which {heirs[-1]} inherits" if heirs else ""
        raise LtdmError(f"cannot read the config {file}{where}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise LtdmError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    own = as_mapping(content, (str(file),))
    below = own.pop("inherits", [])
    below = [below] if isinstance(below, str) else below
    if not isinstance(below, list) or not all(isinstance(b, str) for b in below):
        raise OptionError((str(file), "inherits"), f"must be a list of files, not {below!r}")
    heirs = (*heirs, file.resolve())
    return merge([*(_read_file(file.parent / b, heirs) for b in below), own])


def parse_cli_values(value: Any) -> Any:
    """Read text from a command line as YAML would: Snakemake hands nested values over as text."""
    if isinstance(value, Mapping):
        return {k: parse_cli_values(v) for k, v in value.items()}
    if isinstance(value, list):
        return [parse_cli_values(v) for v in value]
    try:
        return yaml.load(value, StrictLoader) if isinstance(value, str) else value
    except (yaml.YAMLError, ValueError):
        return value


def merge(layers: list[Mapping[str, Any]], within: str = "") -> dict[str, Any]:
    """Merge mappings that stand under the key `within`, the last one on top (rules: see above)."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            merged[key] = _merge_value(key, merged.get(key), value, within)
    return merged


def _merge_value(key: str, below: Any, value: Any, within: str) -> Any:
    """Return what a key holds once `value` lies over `below`."""
    if key in PART_KEYS:
        below, value = ({"name": v} if isinstance(v, str) else v for v in (below, value))
    if value is None and isinstance(below, Mapping) and key not in NULLABLE_KEYS.get(within, ()):
        return below  # an empty section says nothing
    if not isinstance(below, Mapping) or not isinstance(value, Mapping):
        return value
    if key in PART_KEYS and value.get("name", below.get("name")) != below.get("name"):
        return dict(value)
    return merge([below, value], key)


def check_sections(value: Any, path: KeyPath) -> dict[str, Any]:
    """Check that a layer's sections are sections."""
    given = as_mapping(value, path)
    reject_unknown(given, SECTIONS, path)
    for key, section in given.items():
        if key in DEFAULT_PARTS and section is None:
            raise OptionError((*path, key), f"is empty; name a {key} or leave the key out")
        several = key == "method" and isinstance(section, list)  # used together
        if not several and not (key in DEFAULT_PARTS and isinstance(section, str)):
            as_mapping(section, (*path, key))
    return {k: v for k, v in given.items() if v is not None}


@contextmanager
def relocate_errors(layers: list[ConfigLayer]) -> Any:
    """Tell the error of a merged option at the topmost layer that set it, or else its section."""
    try:
        yield
    except OptionError as error:
        path = error.path
        for known in range(len(path), 0, -1):  # what is set, else the part that it is of
            for where, layer in reversed(layers):
                if _sets(layer, path[:known]):
                    # A sample set's options stand right below its name in the file.
                    written = path[1:] if where[0] == "sample_sets" else path
                    raise OptionError((*where, *written), error.message) from None
        raise OptionError(("defaults", *path), error.message) from None


def _sets(layer: Any, path: KeyPath) -> bool:
    if not path or isinstance(layer, list):  # parts that are used together
        return True
    if isinstance(layer, str):  # a part's bare name
        return path[0] == "name"
    return isinstance(layer, Mapping) and path[0] in layer and _sets(layer[path[0]], path[1:])
