"""Layers of config: files over files, and runs over data sets over defaults.

A mapping is merged key by key; a list is replaced; a part (network, process, method, sampler) that
is given another name is replaced with its options.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ltdm.errors import LtdmError, OptionError
from ltdm.options import KeyPath, mapping
from ltdm.registry import PARTS

NAMED = (*PARTS, "sampler")
Layer = tuple[KeyPath, Mapping[str, Any]]
"""Where a layer stands in the config, and its sections."""


def read(files: list[Path]) -> dict[str, Any]:
    """Read config files, later ones over earlier ones.

    Raises:
        LtdmError: A file is missing or is not YAML.
    """
    merged: dict[str, Any] = {}
    for file in files:
        try:
            content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            raise LtdmError(f"cannot read the config {file}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise LtdmError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
        merged = merge([merged, mapping(content, (str(file),))])
    return merged


def merge(layers: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge mappings, the last one on top; see the module for the rules."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            merged[key] = _over(key, merged.get(key), value)
    return merged


def _over(key: str, below: Any, value: Any) -> Any:
    """Return what a key holds once `value` lies over `below`."""
    if key in NAMED:
        below, value = ({"name": v} if isinstance(v, str) else v for v in (below, value))
    if not isinstance(below, Mapping) or not isinstance(value, Mapping):
        return value
    if key in NAMED and value.get("name", below.get("name")) != below.get("name"):
        return dict(value)
    return merge([below, value])


@contextmanager
def told_at_its_layer(layers: list[Layer]) -> Any:
    """Tell the error of a merged option at the layer that set it, the topmost one that did."""
    try:
        yield
    except OptionError as error:
        for where, layer in reversed(layers):
            if _has(layer, error.path):
                raise OptionError(_written(where, error.path), error.message) from None
        raise OptionError(("defaults", *error.path), error.message) from None


def _has(layer: Any, path: KeyPath) -> bool:
    for key in path:
        if isinstance(layer, str):  # a part's bare name
            return key == "name"
        if not isinstance(layer, Mapping) or key not in layer:
            return False
        layer = layer[key]
    return True


def _written(where: KeyPath, path: KeyPath) -> KeyPath:
    """Return the path as the file has it: a sample set's options stand right below its name."""
    return (*where, *path[1:]) if where[0] == "sample_sets" else (*where, *path)
