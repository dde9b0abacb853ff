"""Results that another config made: found before they are taken for this one's.

Snakemake remembers what made a file, as long as its own notes are there. Beside a fresh clone, on
another machine, or after somebody else's hand, the files' records have to say it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ltdm.config.artefacts import artefact_files, artefact_refs, as_list, jobs, outputs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.requests import request
from ltdm.config.rules import Wildcards
from ltdm.pipeline.code_pairs import Pairs, load_pairs
from ltdm.plumbing.errors import LtdmError, few
from ltdm.plumbing.files import read_json
from ltdm.plumbing.request import UNCOUNTED, Request

LINKED_INPUTS = ("data", "init", "model", "guide")
"""Inputs that records name: networks by their key, training data by their digest."""


class Link(NamedTuple):
    """What a record must say of a file that its job read: what the writer's record says of it."""

    record: Path
    file: str  # the name by which a record gives the SHA-256 where it has no key


class ExpectedRecord(NamedTuple):
    """What a file's record must say for the file to be this experiment's."""

    record: Path
    request: Request
    links: Mapping[str, Link]


def expected_records(experiment: Experiment) -> Iterator[ExpectedRecord]:
    """Yield what the config asks of every record; nothing is read."""
    for rule, keys in jobs(experiment):
        if "record" in RULES[rule].outputs:
            yield expected_record(experiment, rule, keys)


def expected_record(experiment: Experiment, rule: str, keys: Wildcards) -> ExpectedRecord:
    """Return what the config asks of the record of a job."""
    at = experiment.layout.path
    links = {
        name: Link(at(f"{maker}.record", **its_keys), file.name)
        for name, (maker, file, its_keys) in _writers(experiment, rule, keys).items()
        if name in LINKED_INPUTS
    }
    return ExpectedRecord(at(f"{rule}.record", **keys), request(experiment, rule, keys), links)


def _writers(e: Experiment, rule: str, keys: Wildcards) -> dict[str, tuple[str, Path, Wildcards]]:
    """Return rule, file and wildcards of what a job reads, where one job with a record wrote it."""
    found = {}
    for name, source in artefact_refs(e, rule, keys).items():
        if isinstance(source, tuple):
            maker, files = source[0].split(".")[0], artefact_files(e, *source)
            if isinstance(files, Path) and "record" in RULES[maker].outputs:
                found[name] = maker, files, source[1]
    return found


def is_finished(experiment: Experiment, rule: str, keys: Wildcards) -> bool:
    """Whether the files of a job are there, and are what the config asks for."""
    files = [file for one in outputs(experiment, rule, keys).values() for file in as_list(one)]
    return all(map(Path.exists, files)) and _matches_request(experiment, rule, keys)


def _matches_request(e: Experiment, rule: str, keys: Wildcards) -> bool:
    """Whether a job's record, and those of what it read, say what the config asks for."""
    pairs = load_pairs(e.layout.root)
    try:
        if disagreements(expected_record(e, rule, keys), pairs):
            return False
    except LtdmError:  # missing or damaged
        return False
    return all(
        _matches_request(e, maker, its) for maker, _, its in _writers(e, rule, keys).values()
    )


def check_records(
    experiment: Experiment, recorded_params: Callable[[Path], Mapping[str, Any] | None]
) -> None:
    """Refuse records of another config or other code; `recorded_params` are Snakemake's own.

    A file of which it remembers another request than today's is about to be made anew.
    """
    pairs, found = load_pairs(experiment.layout.root), []
    for one in expected_records(experiment):
        before = recorded_params(one.record)
        if not one.record.exists():
            continue
        if before is None:
            differing = disagreements(one, pairs)
        elif differences(before, one.request, pairs):
            continue
        else:
            differing = differences(read_json(one.record), one.request, pairs)
        if differing:
            found.append(f"{one.record} ({few(differing)})")
    if found:
        raise LtdmError(
            f"made by another config or other code: {few(found)}; give this experiment another"
            " name, delete what is named to have it made anew, or, where only the code differs and"
            " computes the same, vouch for it with `ltdm accept`"
        )


def disagreements(one: ExpectedRecord, pairs: Pairs) -> list[str]:
    """Return a phrase for all in which a record is not as expected."""
    made = read_json(one.record)
    found = differences(made, one.request, pairs)
    for name, link in one.links.items():
        if name in made and link.record.exists():
            source = read_json(link.record)
            key = source.get("key") or source.get("sha256", {}).get(link.file)
            found += _nested_differences(made[name], key, name)
    return found


def differences(made: Mapping[str, Any], asked: Mapping[str, Any], pairs: Pairs) -> list[str]:
    """Return a phrase for each difference between what was asked for then and what is now.

    What was not recorded then is no difference: an option that is new has its default. Nor is code
    that was accepted in place of other code.
    """
    found = []
    for key, value in sorted(asked.items()):
        if key == "code":
            if (str(made.get(key)), value) not in pairs:
                found += _nested_differences(made.get(key), value, key)
        elif key in made and key not in UNCOUNTED:
            found += _nested_differences(made[key], value, key, only_common=key == "defaults")
    return found


def _nested_differences(made: Any, asked: Any, path: str, only_common: bool = False) -> list[str]:
    """Return a phrase for each key in which two nested mappings or values differ."""
    lists = isinstance(made, list) and isinstance(asked, list)
    if only_common and lists and len(made) == len(asked):
        pairs = enumerate(zip(made, asked, strict=True))
        return [
            text for i, (a, b) in pairs for text in _nested_differences(a, b, f"{path}.{i}", True)
        ]
    if not (isinstance(made, Mapping) and isinstance(asked, Mapping)):
        there, here = ("unset" if v is None else json.dumps(v) for v in (made, asked))
        return [] if made == asked else [f"{path} is {there} there, {here} here"]
    keys = {*made} & {*asked} if only_common else {*made, *asked}
    return [
        text
        for key in sorted(keys)
        for text in _nested_differences(made.get(key), asked.get(key), f"{path}.{key}", only_common)
    ]


def keep_recorded_text(now: Request, before: Mapping[str, Any] | None, pairs: Pairs) -> Request:
    """Give a request the text of that which made a file, where both ask for the same.

    So Snakemake, which compares their texts, does not run it again for an option that is new, nor
    for code that was accepted.
    """
    if before is None or differences(before, now, pairs):
        return now
    now.text = repr(Request(before))
    return now
