"""The files of an experiment's jobs, by the keywords of rules and stages."""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltdm.config.layout import RULES
from ltdm.config.rules import WILDCARD_ORDER, ArtefactRef, Wildcards, axis_values

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment

Files = Path | list[Path] | None


def jobs(experiment: "Experiment") -> Iterator[tuple[str, Wildcards]]:
    """Yield rule and wildcards of each job that a whole run has, but for shards and manifest."""
    return (
        (rule, wildcards)
        for rule, table_row in RULES.items()
        for wildcards in table_row.jobs(experiment)
    )


def outputs(experiment: "Experiment", rule: str, wildcards: Wildcards) -> dict[str, Files]:
    """Return what a job writes, by keyword."""
    return {
        name: _files(experiment, pattern, wildcards)
        for name, pattern in RULES[rule].outputs.items()
    }


def artefact_refs(
    experiment: "Experiment", rule: str, wildcards: Wildcards
) -> dict[str, ArtefactRef | list[ArtefactRef] | None]:
    """Return the artefacts that a job reads, with their jobs' wildcards, by keyword."""
    return {
        name: (found, wildcards) if isinstance(found, str) else found(experiment, wildcards)
        for name, found in RULES[rule].inputs.items()
    }


def inputs(experiment: "Experiment", rule: str, wildcards: Wildcards) -> dict[str, Files]:
    """Return the files that a job reads, by keyword; None for one that it does without."""
    found: dict[str, Files] = {}
    for name, source in artefact_refs(experiment, rule, wildcards).items():
        if isinstance(source, list):
            found[name] = [
                file for one in source for file in as_list(artefact_files(experiment, *one))
            ]
        else:
            found[name] = artefact_files(experiment, *source) if source else None
    return found


def artefact_files(experiment: "Experiment", artefact: str, wildcards: Wildcards) -> Files:
    """Return an artefact's file, or all of its files where the wildcards settle no single one."""
    rule, keyword = artefact.split(".")
    return _files(experiment, RULES[rule].outputs[keyword], wildcards)


def as_list(files: Files) -> list[Path]:
    """Return one file, several, or none as a list."""
    return files if isinstance(files, list) else [files] if files else []


def _files(
    experiment: "Experiment", pattern: str | tuple[str, ...], wildcards: Mapping[str, Any]
) -> Files:
    patterns = (pattern,) if isinstance(pattern, str) else pattern
    found = []
    for one in patterns:
        free = [name for name in WILDCARD_ORDER if f"{{{name}}}" in one and name not in wildcards]
        for values in product(*(axis_values(experiment, name) for name in free)):
            names = {**wildcards, **dict(zip(free, values, strict=True))}
            found.append(experiment.layout.root / one.format(**names))
        if not free and isinstance(pattern, str):
            return found[0]
    return found


def target_files(experiment: "Experiment") -> list[Path]:
    """Return what a whole run makes: records, and what no other job reads.

    A record that somebody deleted is made again, with what it describes; a large file that stands
    behind finished tables is not.
    """
    read = {
        f
        for job in jobs(experiment)
        for files in inputs(experiment, *job).values()
        for f in as_list(files)
    }
    made = [one for job in jobs(experiment) for one in outputs(experiment, *job).items()]
    return [f for name, files in made for f in as_list(files) if name == "record" or f not in read]
