"""A data set of an experiment: its source, its long tail, and the images it will have."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from ltdm.config.merge import SECTIONS, check_sections
from ltdm.data._base import SourceInfo, SourceModule
from ltdm.data._longtail import LongTail, class_counts
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import explain_read_errors, read_json
from ltdm.plumbing.options import KeyPath, as_mapping, parse, reject_unknown, suggest
from ltdm.plumbing.registry import Part, load_module

log = logging.getLogger("ltdm")


@dataclass(frozen=True)
class Dataset:
    """A long-tailed data set."""

    source: Part
    longtail: LongTail
    reference_split: str
    """The split that metrics compare with: "train", before the tail is cut, or "test"."""
    info: SourceInfo
    """What the source has: classes, images per class, channels, resolution."""
    class_counts: list[int]
    """Training images per class, by label, after the tail is cut."""
    sections: Mapping[str, Any]
    """The sections of a run that the data set sets."""
    runs: Mapping[str, Mapping[str, Any]]
    """The sections that it sets for single runs, by the run's name."""

    @property
    def preparation_bytes(self) -> int:
        """The memory that preparation takes at least: the source's images, and the subset's."""
        return self.info.image_bytes * (sum(self.info.class_counts) + sum(self.class_counts))

    def num_probe_images(self, train_on: str) -> int:
        """Return the number of labelled images of the linear probe, training and test together."""
        return sum(self.info.class_counts if train_on == "balanced" else self.class_counts)


def parse_dataset(value: Any, path: KeyPath, record: Path) -> Dataset:
    """Parse the data set at `path` of the config, and look up what its source has.

    `record` is the data set's data.json, which may not exist yet; it is used if the source's files
    are gone.

    Raises:
        OptionError: An option is wrong, or the source is missing and was never prepared.
    """
    entries = as_mapping(value, path)
    if "source" not in entries:
        raise OptionError((*path, "source"), "is missing")
    module: SourceModule = load_module("source", entries["source"], (*path, "source"))
    of_tail = {f.name for f in fields(LongTail)}
    of_source = {f.name for f in fields(module.Options)}
    reject_unknown(
        entries, {"source", "reference_split", "runs", *of_tail, *of_source, *SECTIONS}, path
    )
    options = parse(module.Options, {k: v for k, v in entries.items() if k in of_source}, path)
    source = Part("source", entries["source"], options)
    split = entries.get("reference_split", "train")
    if split not in module.SPLITS:
        message = f"{source.name} has no split {split!r}; {suggest(split, module.SPLITS)}"
        raise OptionError((*path, "reference_split"), message)
    tail = parse(LongTail, {k: v for k, v in entries.items() if k in of_tail}, path)
    try:
        if hasattr(module, "check_split"):
            module.check_split(options, split)
        info = _describe_source(source, record)
        counts = class_counts(tail, info.class_counts)
    except OptionError as error:
        raise OptionError((*path, *error.path), error.message) from error
    except LtdmError as error:
        raise OptionError(path, str(error)) from error
    sections = check_sections({k: v for k, v in entries.items() if k in SECTIONS}, path)
    runs = as_mapping(entries.get("runs"), (*path, "runs"))
    of_runs = {name: check_sections(v, (*path, "runs", name)) for name, v in runs.items()}
    return Dataset(source, tail, split, info, counts, sections, of_runs)


def _describe_source(source: Part, record: Path) -> SourceInfo:
    """Return what the source has, from its record if its files are gone since it was prepared."""
    try:
        return source.module.describe(source.options)
    except LtdmError as error:
        content = read_json(record) if record.exists() else {}
        gone = isinstance(error.__cause__, FileNotFoundError)
        if not gone or content.get("source") != source.to_config() or "census" not in content:
            raise
        _warn_once(f"{error}; {record.parent} was prepared from it and is used instead")
        with explain_read_errors(record, "record of a data set"):
            return SourceInfo.from_record(content["census"])


@cache  # a source is looked up for the saved plan and for the experiment
def _warn_once(text: str) -> None:
    log.warning("%s", text)
