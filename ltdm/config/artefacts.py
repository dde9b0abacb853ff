"""The files of an experiment's jobs, by the keywords of rules and stages."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ltdm.config.layout import RULES
from ltdm.config.rules import (
    WILDCARD_ORDER,
    ArtefactRef,
    Wildcards,
    has_sample_set,
)
from ltdm.plumbing.errors import OptionError

if TYPE_CHECKING:
    from ltdm.config.plan import Plan

Files = Path | list[Path] | None
MAX_JOINED = 255 - len("_9999-of-9999")
"""Bytes of the values of a job's wildcards, joined by "_".

Slurm's executor gives each job a log folder of that name, and a folder's name may have 255 bytes. A
job that draws a part of a sample set has the number of the part as well.
"""


def jobs(plan: "Plan") -> Iterator[tuple[str, Wildcards]]:
    """Yield rule and wildcards of every job of an experiment, except shards and the manifest."""
    for name, rule in RULES.items():
        for wildcards in rule.jobs(plan):
            yield name, wildcards


def check_lengths(plan: "Plan") -> None:
    """Refuse an experiment in which the names of a job are together too long for a log folder."""
    joined = ("_".join(map(str, wildcards.values())) for _, wildcards in jobs(plan))
    longest = max(joined, key=len)
    if len(longest) > MAX_JOINED:
        raise OptionError(
            ("grid",),
            f"the names of one job, {longest}, have {len(longest)} characters together, but the"
            f" name of its log folder on Slurm may have {MAX_JOINED}; choose shorter ones",
        )


def outputs(plan: "Plan", rule: str, wildcards: Wildcards) -> dict[str, Files]:
    """Return the files that a job writes, by keyword."""
    return {
        keyword: _expand(plan, pattern, wildcards)
        for keyword, pattern in RULES[rule].outputs.items()
    }


def artefact_refs(
    plan: "Plan", rule: str, wildcards: Wildcards
) -> dict[str, ArtefactRef | list[ArtefactRef] | None]:
    """Return the artefacts that a job reads, by keyword, with their own jobs' wildcards."""
    refs: dict[str, ArtefactRef | list[ArtefactRef] | None] = {}
    for keyword, source in RULES[rule].inputs.items():
        found = (source, wildcards) if isinstance(source, str) else source(plan, wildcards)
        if isinstance(found, list):
            refs[keyword] = [_of_writer(*ref) for ref in found]
        else:
            refs[keyword] = _of_writer(*found) if found else None
    return refs


def _of_writer(artefact: str, wildcards: Wildcards) -> ArtefactRef:
    """Return an artefact without the wildcards that only its reader has."""
    return artefact, {name: wildcards[name] for name in _names_in(artefact) if name in wildcards}


@cache
def _names_in(artefact: str) -> list[str]:
    rule, keyword = artefact.split(".")
    return re.findall(r"\{(\w+)\}", str(RULES[rule].outputs[keyword]))


def inputs(plan: "Plan", rule: str, wildcards: Wildcards) -> dict[str, Files]:
    """Return the files that a job reads, by keyword; None for an input that it does without."""
    files: dict[str, Files] = {}
    for keyword, refs in artefact_refs(plan, rule, wildcards).items():
        if isinstance(refs, list):
            files[keyword] = [f for ref in refs for f in as_list(artefact_files(plan, *ref))]
        else:
            files[keyword] = artefact_files(plan, *refs) if refs else None
    return files


def artefact_files(plan: "Plan", artefact: str, wildcards: Wildcards) -> Files:
    """Return an artefact's file, or all its files if the wildcards leave some open."""
    rule, keyword = artefact.split(".")
    return _expand(plan, RULES[rule].outputs[keyword], wildcards)


def as_list(files: Files) -> list[Path]:
    """Return one file, several, or none as a list."""
    return files if isinstance(files, list) else [files] if files else []


def _expand(plan: "Plan", patterns: str | tuple[str, ...], wildcards: Wildcards) -> Files:
    """Fill in patterns; one pattern without open wildcards gives one path, all else a list."""
    files = []
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        free = [w for w in _wildcards_in(pattern) if w not in wildcards]
        for values in product(*(plan.axes[axis] for axis in free)):
            all_values = {**wildcards, **dict(zip(free, values, strict=True))}
            if has_sample_set(plan, all_values):
                files.append(plan.root / pattern.format(**all_values))
        if not free and isinstance(patterns, str):
            return files[0]
    return files


@cache
def _wildcards_in(pattern: str) -> list[str]:
    return [name for name in WILDCARD_ORDER if f"{{{name}}}" in pattern]


def target_files(plan: "Plan") -> list[Path]:
    """Return the targets of a whole run: all records, and the files that no other job reads.

    So a record that somebody deleted is made again, with the files that it describes; a large file
    behind finished tables is not.
    """
    all_jobs = [*jobs(plan)]
    input_files = {
        file for job in all_jobs for files in inputs(plan, *job).values() for file in as_list(files)
    }
    targets = []
    for job in all_jobs:
        for keyword, files in outputs(plan, *job).items():
            targets += [f for f in as_list(files) if keyword == "record" or f not in input_files]
    return targets
