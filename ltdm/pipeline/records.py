"""Records of results compared with the config, so that results of another config are not reused.

Snakemake's own notes say what made a file, but they are missing beside a fresh clone or on another
machine, and do not notice edits by hand. Then the records beside the files decide.
"""

import json
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ltdm.config.artefacts import artefact_files, artefact_refs, as_list, jobs, outputs
from ltdm.config.layout import RULES, Layout
from ltdm.config.plan import Plan
from ltdm.config.rules import Wildcards
from ltdm.pipeline.code_pairs import Pairs, load_pairs
from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.files import explain_read_errors, read_json
from ltdm.plumbing.request import IRRELEVANT_KEYS, Request

LINKED_INPUTS = ("data", "init", "model", "guide")
"""Inputs that a record identifies: networks by their key, training data by their SHA-256."""


class Link(NamedTuple):
    """An input whose key or digest a record must repeat from the record of the input's job."""

    record: Path
    file: str  # the input's name, under which its record has the SHA-256 if it has no key


class ExpectedRecord(NamedTuple):
    """The contents that a record must have for its files to be this experiment's."""

    record: Path
    request: Request
    links: Mapping[str, Link]


def expected_records(plan: Plan) -> Iterator[ExpectedRecord]:
    """Yield the expected record of every job that writes one; no file is read."""
    for rule, wildcards in jobs(plan):
        if "record" in RULES[rule].outputs:
            yield expected_record(plan, rule, wildcards)


def expected_record(plan: Plan, rule: str, wildcards: Wildcards) -> ExpectedRecord:
    """Return the expected record of a job."""
    path = Layout(plan.root).path
    links = {
        name: Link(path(f"{writer}.record", **keys), file.name)
        for name, (writer, file, keys) in _writers(plan, rule, wildcards).items()
        if name in LINKED_INPUTS
    }
    fields = plan.request(rule, wildcards)
    return ExpectedRecord(path(f"{rule}.record", **wildcards), fields, links)


def _writers(plan: Plan, rule: str, wildcards: Wildcards) -> dict[str, tuple[str, Path, Wildcards]]:
    """Return, for each input that one job with a record wrote: its rule, file and wildcards."""
    writers: dict[str, tuple[str, Path, Wildcards]] = {}
    for name, ref in artefact_refs(plan, rule, wildcards).items():
        if isinstance(ref, tuple):
            writer, file = ref[0].split(".")[0], artefact_files(plan, *ref)
            if isinstance(file, Path) and "record" in RULES[writer].outputs:
                writers[name] = writer, file, ref[1]
    return writers


def is_finished(plan: Plan, rule: str, wildcards: Wildcards) -> bool:
    """Whether all files of a job exist, and its record and those behind it match the config."""
    files = [f for v in outputs(plan, rule, wildcards).values() for f in as_list(v)]
    return all(file.exists() for file in files) and _matches_config(plan, rule, wildcards)


def _matches_config(plan: Plan, rule: str, wildcards: Wildcards) -> bool:
    pairs = load_pairs(plan.root)
    try:
        if disagreements(expected_record(plan, rule, wildcards), pairs):
            return False
    except LtdmError:  # missing or damaged
        return False
    writers = _writers(plan, rule, wildcards).values()
    return all(_matches_config(plan, writer, keys) for writer, _, keys in writers)


def check_records(plan: Plan, recorded_request: Callable[[Path], str | None]) -> None:
    """Refuse records of another config or other code.

    `recorded_request` returns the text of the request in Snakemake's notes on a file, or None. A
    file whose request there differs from today's is left out: its job will run again.

    Raises:
        LtdmError: A record differs.
    """
    pairs, foreign = load_pairs(plan.root), []
    for expected in expected_records(plan):
        if not expected.record.exists():
            continue
        text = recorded_request(expected.record)
        if text is None:
            phrases = disagreements(expected, pairs)
        elif not _is_same(text, expected.request, pairs):
            continue
        else:
            phrases = differences(read_json(expected.record), expected.request, pairs)
        if phrases:
            foreign.append(f"{expected.record} ({shorten(phrases)})")
    if foreign:
        raise LtdmError(
            f"made by another config or other code: {shorten(foreign)}; give this"
            " experiment another name, delete these files to recompute them, or, if only the code"
            " differs and computes the same, run `ltdm accept`"
        )


def disagreements(expected: ExpectedRecord, pairs: Pairs) -> list[str]:
    """Return a phrase for each way in which a record on disk differs from the expected one."""
    record = read_json(expected.record)
    phrases = differences(record, expected.request, pairs)
    for name, link in expected.links.items():
        if name in record and link.record.exists():
            source = read_json(link.record)
            with explain_read_errors(link.record, "record of ltdm"):
                key = source.get("key") or source.get("sha256", {}).get(link.file)
            phrases += _nested_differences(record[name], key, name)
    return phrases


def differences(record: Mapping[str, Any], request: Mapping[str, Any], pairs: Pairs) -> list[str]:
    """Return a phrase for each difference between a recorded request and today's.

    A key that was not recorded is no difference, since a new option has its default there. Nor is
    code of an accepted pair.
    """
    phrases = []
    for key, value in sorted(request.items()):
        if key == "code":
            if (str(record.get(key)), value) not in pairs:
                phrases += _nested_differences(record.get(key), value, key)
        elif key in record and key not in IRRELEVANT_KEYS:
            phrases += _nested_differences(record[key], value, key, key == "defaults")
    return phrases


def _nested_differences(old: Any, new: Any, path: str, only_common: bool = False) -> list[str]:
    """Return a phrase for each leaf in which two nested values differ; `path` names them.

    With `only_common`, keys that only one of two mappings has are no difference.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = {*old} & {*new} if only_common else {*old, *new}
        leaves = [(key, old.get(key), new.get(key)) for key in sorted(keys)]
    elif only_common and isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        leaves = [(i, *both) for i, both in enumerate(zip(old, new, strict=True))]
    elif old == new:
        return []
    else:
        was, now = ("unset" if v is None else json.dumps(v) for v in (old, new))
        return [f"{path} was {was}, now {now}"]
    return [p for k, a, b in leaves for p in _nested_differences(a, b, f"{path}.{k}", only_common)]


def keep_recorded_text(now: Request, text: str | None, pairs: Pairs) -> Request:
    """Return today's request, with the text of an old one if both decide the same result.

    Snakemake compares texts; so a new option at its default, or accepted code, reruns nothing.
    """
    if text is not None and _is_same(text, now, pairs):
        now.text = text
    return now


def _is_same(text: str, now: Request, pairs: Pairs) -> bool:
    """Whether an old request in Snakemake's notes decides the same result; no if unreadable."""
    if text == repr(now):
        return True
    try:
        return not differences(dict(literal_eval(text)), now, pairs)
    except (ValueError, SyntaxError, TypeError):
        return False
