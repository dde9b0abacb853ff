"""The files of an experiment's jobs, by the keywords of rules and stages."""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltdm.config.layout import STEPS
from ltdm.config.steps import ORDER, Keys, Source, axis

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment

File = Path | list[Path] | None


def jobs(e: "Experiment") -> Iterator[tuple[str, Keys]]:
    """Yield rule and wildcards of each job that a whole run has, but for shards and manifest."""
    return ((rule, keys) for rule, step in STEPS.items() for keys in step.jobs(e))


def outputs(e: "Experiment", rule: str, keys: Keys) -> dict[str, File]:
    """Return what a job writes, by keyword."""
    return {name: _files(e, pattern, keys) for name, pattern in STEPS[rule].outputs.items()}


def sources(e: "Experiment", rule: str, keys: Keys) -> dict[str, Source | list[Source] | None]:
    """Return the artefacts that a job reads, with their jobs' wildcards, by keyword."""
    return {
        name: (found, keys) if isinstance(found, str) else found(e, keys)
        for name, found in STEPS[rule].inputs.items()
    }


def inputs(e: "Experiment", rule: str, keys: Keys) -> dict[str, File]:
    """Return the files that a job reads, by keyword; None for one that it does without."""
    found: dict[str, File] = {}
    for name, source in sources(e, rule, keys).items():
        if isinstance(source, list):
            found[name] = [file for one in source for file in flat(path(e, *one))]
        else:
            found[name] = path(e, *source) if source else None
    return found


def path(e: "Experiment", artefact: str, keys: Keys) -> File:
    """Return an artefact's file, or all of its files where the wildcards settle no single one."""
    rule, keyword = artefact.split(".")
    return _files(e, STEPS[rule].outputs[keyword], keys)


def flat(files: File) -> list[Path]:
    """Return one file, several, or none as a list."""
    return files if isinstance(files, list) else [files] if files else []


def _files(e: "Experiment", pattern: str | tuple[str, ...], keys: Mapping[str, Any]) -> File:
    patterns = (pattern,) if isinstance(pattern, str) else pattern
    found = []
    for one in patterns:
        free = [name for name in ORDER if f"{{{name}}}" in one and name not in keys]
        for values in product(*(axis(e, name) for name in free)):
            names = {**keys, **dict(zip(free, values, strict=True))}
            found.append(e.layout.root / one.format(**names))
        if not free and isinstance(pattern, str):
            return found[0]
    return found


def final(e: "Experiment") -> list[Path]:
    """Return what a whole run makes: records, and what no other job reads.

    A record that somebody deleted is made again, with what it describes; a large file that stands
    behind finished tables is not.
    """
    read = {f for job in jobs(e) for files in inputs(e, *job).values() for f in flat(files)}
    made = [one for job in jobs(e) for one in outputs(e, *job).items()]
    return [f for name, files in made for f in flat(files) if name == "record" or f not in read]
