"""Protocols of scores: what decides whether two values may stand in one column with one best value.

A protocol is that of a data set in a results folder. A run's own settings, such as its guidance, do
not belong to it: they are what experiments compare.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ltdm.comparison.folders import RECORD, Folder
from ltdm.config.layout import MANIFEST
from ltdm.pipeline.code_pairs import load_pairs
from ltdm.plumbing.files import explain_read_errors, read_json, sha256
from ltdm.reporting.compare import ENTRY_KEYS
from ltdm.reporting.rows import read_classes

Protocol = Mapping[str, str]
"""What a protocol consists of, by name, as short text."""
OF = " of "  # between a part of a protocol and the one sample set that has the value
DIGEST_LENGTH = 12  # digits of a SHA-256 that are shown and compared


class Labels(NamedTuple):
    """What data sets are called in the comparison."""

    by_folder: dict[tuple[str, str], str]  # by name of the folder and of the data set
    split: bool  # whether a data set has several labels, for its protocols or classes


class Difference(NamedTuple):
    """A setting that differs between folders."""

    key: str
    values: list[str]  # one per folder, in words or digits; empty where it has none


def read_protocols(folders: list[Folder]) -> dict[tuple[str, str], Protocol]:
    """Return the protocol of each folder's data sets, by name of the folder and of the data set.

    Codes that `ltdm accept` took for the same in one of the folders count as the same.
    """
    pairs = {pair for folder in folders for pair in load_pairs(folder.path)}
    canonical = partial(_canonical_code, pairs=pairs)
    return {
        (folder.name, dataset): {
            **_data_protocol(folder, dataset),
            **_sampling_protocol(folder, dataset),
            **_scoring_protocol(folder, dataset, canonical),
        }
        for folder in folders
        for dataset in folder.datasets
    }


def label_datasets(
    folders: list[Folder], protocols: Mapping[tuple[str, str], Protocol], across: bool
) -> Labels:
    """Label data sets of one name apart by protocol, or with `across` only by their classes.

    What a folder has no value of, such as a metric, does not set its protocol apart.
    """
    word = "classes" if across else "protocol"
    by_folder, split = {}, False
    for dataset in dict.fromkeys(d for folder in folders for d in folder.datasets):
        own = [folder.name for folder in folders if dataset in folder.datasets]
        keys = ["classes"] if across else None
        numbers = _number_groups([_only(protocols[name, dataset], keys) for name in own])
        several = len({*numbers}) > 1
        split |= several
        for name, number in zip(own, numbers, strict=True):
            by_folder[name, dataset] = f"{dataset} ({word} {number})" if several else dataset
    return Labels(by_folder, split)


def protocol_differences(
    folders: list[Folder], protocols: Mapping[tuple[str, str], Protocol]
) -> list[Difference]:
    """Return what differs between the protocols of data sets that several folders have.

    Sample sets are listed one by one only where a folder has several values.
    """
    differences = []
    for dataset in dict.fromkeys(d for folder in folders for d in folder.datasets):
        own = [protocols.get((folder.name, dataset), {}) for folder in folders]
        for key in dict.fromkeys(key for protocol in own for key in protocol):
            part, of_one_set, _ = key.partition(OF)
            if of_one_set and all(part in protocol for protocol in own if protocol):
                continue
            values = [protocol.get(key, "") for protocol in own]
            if len({*filter(None, values)}) > 1:
                differences.append(Difference(f"{dataset}: {key}", values))
    return differences


def _number_groups(protocols: list[Protocol]) -> list[int]:
    """Number protocols from 1, so that those of one number agree with each other."""
    groups: list[list[Protocol]] = []
    numbers = []
    for protocol in protocols:
        fits = [all(_agree(protocol, other) for other in group) for group in groups]
        if not any(fits):
            groups.append([])
        number = fits.index(True) if any(fits) else len(groups) - 1
        groups[number].append(protocol)
        numbers.append(number + 1)
    return numbers


def _only(protocol: Protocol, keys: Collection[str] | None) -> Protocol:
    """Return the part of a protocol with these keys; None is all of them."""
    return {k: v for k, v in protocol.items() if keys is None or k in keys}


def _agree(first: Protocol, second: Protocol) -> bool:
    return all(first[key] == second[key] for key in first.keys() & second.keys())


def _canonical_code(code: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return one code for all that are accepted as equal to this one, directly or by others."""
    equal = {code}
    while more := {c for pair in pairs if equal & {*pair} for c in pair} - equal:
        equal |= more
    return min(equal)


def _data_protocol(folder: Folder, dataset: str) -> dict[str, str]:
    """Return the classes, the training set and the reference."""
    file = folder.layout.path("prepare.record", dataset=dataset)
    record = read_json(file)
    counts = read_classes(folder.layout.path("prepare.counts", dataset=dataset))
    with explain_read_errors(file, RECORD):
        train, reference = (record["sha256"][f"{part}.npz"] for part in ("train", "reference"))
        return {
            "classes": ", ".join(counts["name"]),
            "training set": f"{counts['train'].sum():,} images, {_short(train)}",
            "reference": _short(reference),
        }


def _sampling_protocol(folder: Folder, dataset: str) -> dict[str, str]:
    """Return the number of images, the sampler and its precision, of each run's sample sets.

    A value that all sample sets have is that of the data set too. So folders with one value each
    are compared by it whatever their runs are called, and others by the sample sets of both.
    """
    rows = folder.rows[folder.rows["dataset"] == dataset]
    parts: dict[str, dict[str, str]] = {}
    for (run, name), own in rows.groupby(["run", "sample_set"], sort=False):
        keys = {"dataset": dataset, "run": run, "sample_set": name}
        files = [folder.layout.path("sample.record", **keys, seed=n) for n in own["seed"].unique()]
        texts = {
            "generated images": _images_per_set(own),
            "sampler": _joined(own["sampler"]),
            "sampling precision": _joined(_precision(file) for file in files if file.is_file()),
        }
        for part, text in _without_empty(texts).items():
            parts.setdefault(part, {})[f"{part}{OF}{run}/{name}"] = text
    protocol: dict[str, str] = {}
    for part, by_set in parts.items():
        if len({*by_set.values()}) == 1:
            protocol[part] = next(iter(by_set.values()))
        protocol |= by_set
    return protocol


def _precision(file: Path) -> str:
    """Return the precision in which a sample set was sampled, from its record."""
    record = read_json(file)
    with explain_read_errors(file, RECORD):
        return str({**record["defaults"], **record["spec"]}.get("precision", ""))


def _scoring_protocol(folder: Folder, dataset: str, canonical: Any) -> dict[str, str]:
    """Return options and code of extractors and metrics, and the digest of extractors' weights."""
    protocol = {}
    manifest = folder.path / MANIFEST
    files = read_json(manifest).get("files", {}) if manifest.is_file() else {}
    for name in folder.rows["extractor"].unique():
        stars = {"dataset": dataset, "extractor": name}
        weights = folder.layout.path("extractor.weights", **stars)
        for file, record in folder.matching_records("extractor.record", **stars):
            with explain_read_errors(file, RECORD):
                protocol[f"extractor {name}: options"] = _options_text(record, "extractor")
                protocol[f"extractor {name}: code"] = canonical(str(record["code"]))
        digest = files.get(weights.relative_to(folder.path).as_posix(), {}).get("sha256", "")
        digest = digest or (sha256(weights) if weights.is_file() else "")
        protocol[f"extractor {name}: weights"] = _short(digest)
    stars = {"dataset": dataset, "run": "*", "seed": "*", "sample_set": "*", "metric": "*"}
    texts: dict[str, dict[str, None]] = {}
    for file, record in folder.matching_records("metrics.record", **stars):
        with explain_read_errors(file, RECORD):
            found = {
                "options": _options_text(record, "metric"),
                "groups": _groups_text(record["groups"]),
                "code": canonical(str(record["code"])),
            }
        for key, text in found.items():
            texts.setdefault(f"metric {file.stem}: {key}", {})[text] = None
    return _without_empty(protocol | {key: _joined(values) for key, values in texts.items()})


def _images_per_set(rows: pd.DataFrame) -> str:
    """Return the numbers of images of sample sets; a row of a group of classes has fewer."""
    sets = rows.groupby([*ENTRY_KEYS, "seed"], sort=False, dropna=False)["n_generated"].max()
    return ", ".join(f"{number:,.0f}" for number in sorted(sets.dropna().unique()))


def _options_text(record: Mapping[str, Any], part: str) -> str:
    """Write a part with all its options, also those at their defaults."""
    stated = record.get(part, {})
    return _text({**record.get("defaults", {}), **(stated if isinstance(stated, dict) else {})})


def _groups_text(groups: Mapping[str, Any]) -> str:
    """Write how classes and the reference are split; which groups have scores does not matter."""
    return _text({k: v for k, v in groups.items() if k != "kinds"}) or "as usual, all of the data"


def _text(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {options[key]}" for key in sorted(options, key=lambda k: k != "name"))


def _joined(values: Iterable[str]) -> str:
    return "; ".join(sorted({*values} - {""}))


def _short(digest: str) -> str:
    return f"SHA-256 {digest[:DIGEST_LENGTH]}" if digest else ""


def _without_empty(protocol: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in protocol.items() if text}
