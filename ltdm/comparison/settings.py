"""Code and config of results folders, as far as they differ."""

from collections.abc import Mapping
from typing import Any

from ltdm.comparison.folders import Folder
from ltdm.comparison.protocols import Difference
from ltdm.pipeline import snapshot

MAX_LENGTH = 200
"""Characters of a value that are shown."""
IGNORED = "experiment"  # its name, which says nothing of the numbers


def code_differences(folders: list[Folder]) -> list[Difference]:
    """Return what differs between the commits, the versions of packages, and the stages' code.

    A stage that ran in one folder alone is no difference.
    """
    found = [_read_code(folder) for folder in folders]
    differences = []
    for key in dict.fromkeys(key for code in found for key in code):
        values = [", ".join(sorted(code.get(key, set()))) for code in found]
        if len({*filter(None, values)}) > 1:
            differences.append(Difference(key, values))
    return differences


def config_differences(folders: list[Folder]) -> list[Difference]:
    """Return the options that differ between merged configs, by their keys as a.b.c.

    They are those of the last runs of Snakemake; a folder without one has no config.
    """
    snapshots = [snapshot.newest(folder.path / "logs") for folder in folders]
    configs = [dict((found or {}).get("config", {})) for found in snapshots]
    for config in configs:
        config.pop(IGNORED, None)
    return _nested_differences(configs, "") if all(snapshots) else []


def _read_code(folder: Folder) -> dict[str, set[str]]:
    """Return commits, versions of packages, and digests of stages, from the records."""
    found: dict[str, set[str]] = {"commit": set()}
    for record in folder.records():
        if commit := record.get("commit"):
            found["commit"].add(str(commit))
        versions = record.get("versions")
        for package, version in versions.items() if isinstance(versions, dict) else ():
            found.setdefault(package, set()).add(str(version))
        stage, sign, digest = str(record.get("code", "")).rpartition(": ")
        if sign:
            found.setdefault(f"stage {stage}", set()).add(digest)
    order = sorted(found, key=lambda key: key.startswith("stage "))
    return {key: found[key] for key in order}


def _nested_differences(values: list[Any], path: str) -> list[Difference]:
    """Return a line for each option that differs, or that only some have."""
    if all(value == values[0] for value in values):
        return []
    if all(isinstance(value, Mapping) for value in values):
        keys = dict.fromkeys(key for value in values for key in value)
        lines = []
        for key in keys:
            inner = [value.get(key) for value in values]
            lines += _nested_differences(inner, f"{path}.{key}".removeprefix("."))
        return lines
    texts = ("" if value is None else _shown(value) for value in values)
    return [Difference(path, [*texts])]


def _shown(value: Any) -> str:
    """Write a value as short text."""
    text = str(value)
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]} ..."
