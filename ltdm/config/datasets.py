"""A data set of an experiment: its source, the shape of its tail, what it will hold."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ltdm.config.merge import SECTIONS, check_sections
from ltdm.data._base import Census, SourceModule
from ltdm.data._longtail import LongTail, counts
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.options import KeyPath, as_mapping, parse, reject_unknown, suggest
from ltdm.plumbing.registry import Part, load_module

log = logging.getLogger("ltdm")


@dataclass(frozen=True)
class Dataset:
    """A long-tailed data set."""

    source: Part
    longtail: LongTail
    reference_split: str
    census: Census
    class_counts: list[int]
    sections: Mapping[str, Any]

    def num_probe_images(self, train_on: str) -> int:
        """Return how many labelled images the linear probe has, some of which it is tested on."""
        return sum(self.census.sizes if train_on == "balanced" else self.class_counts)


def parse_dataset(value: Any, path: KeyPath, record: Path) -> Dataset:
    """Parse what the config gives at `path`, and look at what the source holds.

    `record` is the data set's data.json, which may not be there yet.

    Raises:
        OptionError: An option is wrong, or the source is not there and nothing was made of it.
    """
    given = as_mapping(value, path)
    if "source" not in given:
        raise OptionError((*path, "source"), "is missing")
    module: SourceModule = load_module("source", given["source"], (*path, "source"))
    shape = {f.name for f in fields(LongTail)}
    own = {f.name for f in fields(module.Options)}
    reject_unknown(given, {"source", "reference_split", *shape, *own, *SECTIONS}, path)
    options = parse(module.Options, {k: v for k, v in given.items() if k in own}, path)
    source = Part("source", given["source"], options)
    split = given.get("reference_split", "train")
    if split not in module.SPLITS:
        hint = suggest(split, module.SPLITS)
        raise OptionError(
            (*path, "reference_split"), f"{source.name} has no split {split!r}; {hint}"
        )
    tail = parse(LongTail, {k: v for k, v in given.items() if k in shape}, path)
    try:
        census = _describe_source(source, record)
        kept = counts(tail, census.sizes)
    except OptionError as error:
        raise OptionError((*path, *error.path), error.message) from error
    except LtdmError as error:
        raise OptionError(path, str(error)) from error
    own_sections = check_sections({k: v for k, v in given.items() if k in SECTIONS}, path)
    return Dataset(source, tail, split, census, kept, own_sections)


def _describe_source(source: Part, record: Path) -> Census:
    """Ask the source what it holds; where its files are gone, what was made of them says so."""
    try:
        return source.module.census(source.options)
    except LtdmError as error:
        made = read_json(record) if record.exists() else {}
        gone = isinstance(error.__cause__, FileNotFoundError)
        if not gone or made.get("source") != source.to_config() or "census" not in made:
            raise
        log.warning("%s; %s was prepared from it and is used", error, record.parent)
        return Census(**made["census"])
