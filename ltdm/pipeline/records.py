"""Results that another config made: found before they are taken for this one's.

Snakemake remembers what made a file, as long as its own notes are there. Beside a fresh clone, on
another machine, or after somebody else's hand, the files' records have to say it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ltdm.config.artefacts import flat, jobs, outputs, path, sources
from ltdm.config.experiment import Experiment
from ltdm.config.layout import STEPS
from ltdm.config.requests import request
from ltdm.config.steps import Keys
from ltdm.pipeline.accepted import Pairs, accepted
from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.files import read_json
from ltdm.plumbing.request import IRRELEVANT_KEYS, Request

NAMED = ("data", "init", "model", "guide")
"""Inputs that records name: networks by their key, training data by their digest."""


class Link(NamedTuple):
    """What a record must say of a file that its job read: what the writer's record says of it."""

    record: Path
    file: str  # the name by which a record gives the SHA-256 where it has no key


class Expected(NamedTuple):
    """What a file's record must say for the file to be this experiment's."""

    record: Path
    request: Request
    links: Mapping[str, Link]


def expected(experiment: Experiment) -> Iterator[Expected]:
    """Yield what the config asks of every record; nothing is read."""
    for rule, keys in jobs(experiment):
        if "record" in STEPS[rule].outputs:
            yield expect(experiment, rule, keys)


def expect(experiment: Experiment, rule: str, keys: Keys) -> Expected:
    """Return what the config asks of the record of a job."""
    at = experiment.layout.path
    links = {
        name: Link(at(f"{maker}.record", **its_keys), file.name)
        for name, (maker, file, its_keys) in _made_by(experiment, rule, keys).items()
        if name in NAMED
    }
    return Expected(at(f"{rule}.record", **keys), request(experiment, rule, keys), links)


def _made_by(e: Experiment, rule: str, keys: Keys) -> dict[str, tuple[str, Path, Keys]]:
    """Return rule, file and wildcards of what a job reads, where one job with a record wrote it."""
    found = {}
    for name, source in sources(e, rule, keys).items():
        if isinstance(source, tuple):
            maker, files = source[0].split(".")[0], path(e, *source)
            if isinstance(files, Path) and "record" in STEPS[maker].outputs:
                found[name] = maker, files, source[1]
    return found


def is_finished(experiment: Experiment, rule: str, keys: Keys) -> bool:
    """Whether the files of a job are there, and are what the config asks for."""
    files = [file for one in outputs(experiment, rule, keys).values() for file in flat(one)]
    return all(map(Path.exists, files)) and _holds(experiment, rule, keys)


def _holds(e: Experiment, rule: str, keys: Keys) -> bool:
    """Whether a job's record, and those of what it read, say what the config asks for."""
    pairs = accepted(e.layout.root)
    try:
        if disagreements(expect(e, rule, keys), pairs):
            return False
    except LtdmError:  # missing or damaged
        return False
    return all(_holds(e, maker, its) for maker, _, its in _made_by(e, rule, keys).values())


def check_records(
    experiment: Experiment, remembered: Callable[[Path], Mapping[str, Any] | None]
) -> None:
    """Refuse records of another config or other code; `remembered` is what Snakemake knows of them.

    A file of which it remembers another request than today's is about to be made anew.
    """
    pairs, found = accepted(experiment.layout.root), []
    for one in expected(experiment):
        before = remembered(one.record)
        if not one.record.exists():
            continue
        if before is None:
            differing = disagreements(one, pairs)
        elif differences(before, one.request, pairs):
            continue
        else:
            differing = differences(read_json(one.record), one.request, pairs)
        if differing:
            found.append(f"{one.record} ({shorten(differing)})")
    if found:
        raise LtdmError(
            f"made by another config or other code: {shorten(found)}; give this experiment another"
            " name, delete what is named to have it made anew, or, where only the code differs and"
            " computes the same, vouch for it with `ltdm accept`"
        )


def disagreements(one: Expected, pairs: Pairs) -> list[str]:
    """Return a phrase for all in which a record is not as expected."""
    made = read_json(one.record)
    found = differences(made, one.request, pairs)
    for name, link in one.links.items():
        if name in made and link.record.exists():
            source = read_json(link.record)
            key = source.get("key") or source.get("sha256", {}).get(link.file)
            found += _nested(made[name], key, name)
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
                found += _nested(made.get(key), value, key)
        elif key in made and key not in IRRELEVANT_KEYS:
            found += _nested(made[key], value, key, only_common=key == "defaults")
    return found


def _nested(made: Any, asked: Any, path: str, only_common: bool = False) -> list[str]:
    """Return a phrase for each key in which two nested mappings or values differ."""
    lists = isinstance(made, list) and isinstance(asked, list)
    if only_common and lists and len(made) == len(asked):
        pairs = enumerate(zip(made, asked, strict=True))
        return [text for i, (a, b) in pairs for text in _nested(a, b, f"{path}.{i}", True)]
    if not (isinstance(made, Mapping) and isinstance(asked, Mapping)):
        there, here = ("unset" if v is None else json.dumps(v) for v in (made, asked))
        return [] if made == asked else [f"{path} is {there} there, {here} here"]
    keys = {*made} & {*asked} if only_common else {*made, *asked}
    return [
        text
        for key in sorted(keys)
        for text in _nested(made.get(key), asked.get(key), f"{path}.{key}", only_common)
    ]


def as_remembered(now: Request, before: Mapping[str, Any] | None, pairs: Pairs) -> Request:
    """Give a request the text of that which made a file, where both ask for the same.

    So Snakemake, which compares their texts, does not run it again for an option that is new, nor
    for code that was accepted.
    """
    if before is None or differences(before, now, pairs):
        return now
    now.text = repr(Request(before))
    return now
