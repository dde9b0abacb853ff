"""Random changes of bytes and of nested values, and ltdm's commands in this process."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import yaml

from ltdm.cli.main import main

T = TypeVar("T")
Rng = np.random.Generator
ODD_VALUES: list[Any] = [
    *yaml.safe_load(Path(__file__).with_name("odd-values.yaml").read_text(encoding="utf-8")),
    *(10**400, "x" * 300, {"x" * 300: {}}, [0] * 500, math.nan, math.inf, -math.inf),
]
"""Values that a key of a YAML or JSON file may hold, odd ones and names of parts."""
ODD_KEYS = ("train", "name", "lr", "source", "x", "../y", 3, None, True, "", "a\nb", "inherits")


def ltdm(*arguments: object) -> None:
    """Run a command of ltdm; its errors pass through."""
    with click.Context(main) as context:
        command = main.get_command(context, str(arguments[0]))
        assert command
        command.main([str(a) for a in arguments[1:]], "ltdm", standalone_mode=False)


def pick(rng: Rng, options: Sequence[T]) -> T:
    """Return one of the options."""
    return options[int(rng.integers(len(options)))]


def chance(rng: Rng, probability: float) -> bool:
    """Return true with a probability."""
    return bool(rng.random() < probability)


def mutate_bytes(rng: Rng, content: bytes) -> bytes:
    """Return bytes with a few changed, or a stretch removed, doubled or overwritten."""
    data = bytearray(content)
    start = int(rng.integers(len(data) + 1))
    end = min(len(data), start + int(rng.integers(1, 2 + len(data) // pick(rng, (1, 4, 50)))))
    match int(rng.integers(6)):
        case 0:
            return bytes(data[:start])
        case 1:
            del data[start:end]
        case 2:
            data[start:start] = data[start:end]
        case 3:
            data[start:end] = rng.bytes(end - start)
        case 4:
            data[start:end] = bytes(end - start)
        case _:
            for i in rng.integers(len(data), size=int(rng.integers(1, 6))) if data else ():
                data[i] ^= 1 << int(rng.integers(8))
    return bytes(data)


def spoil_bytes(rng: Rng, file: Path) -> None:
    """Change the bytes of a file."""
    file.write_bytes(mutate_bytes(rng, file.read_bytes()))


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each value of nested mappings and lists."""
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))


def value_at(root: Any, path: tuple[Any, ...]) -> Any:
    """Return the value at a path of nested mappings and lists."""
    for key in path:
        root = root[key]
    return root


def mutate_values(rng: Rng, root: Any) -> str:
    """Change, scale, remove, rename or add one value of nested mappings; return its path."""
    all_paths = list(paths(root))
    if not all_paths:
        return "nothing"
    change = pick(rng, (*["scale"] * 5, "value", "remove", "rename", "add", "swap"))
    numbers = [path for path in all_paths if isinstance(value_at(root, path), int | float)]
    path = pick(rng, numbers if numbers and change == "scale" else all_paths)
    node = value_at(root, path[:-1])
    old, new = node[path[-1]], pick(rng, ODD_VALUES)
    if change == "scale" and isinstance(old, bool | int | float):
        factor = pick(rng, (2, 2, 3, 3, -1, 10**6))
        node[path[-1]] = not old if isinstance(old, bool) else old * factor
    elif change == "add" and isinstance(node, dict):
        node[pick(rng, ODD_KEYS)] = new
    elif change == "add":
        node.append(new)
    elif change == "rename" and isinstance(node, dict):
        node[f"{path[-1]}s"] = node.pop(path[-1])
    elif change == "remove":
        node.pop(path[-1])
    elif change == "swap":  # a value of another place
        other = value_at(root, pick(rng, all_paths))
        node[path[-1]] = other if not isinstance(other, dict | list) else new
    else:
        node[path[-1]] = new
    return f"{change} {'.'.join(map(str, path))}"
