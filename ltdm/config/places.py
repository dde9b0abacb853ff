"""Where the options of a merged config are set: in which of its files, or on the command line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ltdm.config.merge import read_layers, sets_path
from ltdm.plumbing.options import KeyPath


def place_of(path: KeyPath, files: list[Path], overlay: Mapping[str, Any] | None = None) -> str:
    """Return where an option is set: the last of the config files, or of those they inherit.

    `overlay` are values of the command line, which lie over all files: `--config`. If nothing sets
    the option at `path`, it is the last place that sets most of the path.
    """
    return _last_place(path, _places(files, overlay)) or (str(files[-1]) if files else "config")


def origins(
    config: Mapping[str, Any], files: list[Path], overlay: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return where each option of a merged config is set, as `place_of`, by its keys as a.b.c."""
    places = _places(files, overlay)
    return {".".join(path): _last_place(path, places) for path in leaf_paths(config)}


def leaf_paths(config: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of each value of a config that is no mapping, or an empty one."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from leaf_paths(value, (*path, str(key)))
        else:
            yield (*path, str(key))


def _places(files: list[Path], overlay: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """Return the places that set options, with their content, later ones over earlier ones."""
    layers = [layer for file in files for layer in read_layers(Path(file), ())[1]]
    return [*((_shown(file), content) for file, content in layers), ("--config", overlay or {})]


def _shown(file: Path) -> str:
    """Return a file's path, from the working folder if it lies in it."""
    try:
        return file.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(file)


def _last_place(path: KeyPath, places: list[tuple[str, Any]]) -> str:
    """Return the last place that sets a path, or else most of it; empty if none sets any."""
    for length in range(len(path), 0, -1):
        for place, content in reversed(places):
            if sets_path(content, path[:length]):
                return place
    return ""
