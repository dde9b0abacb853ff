"""The experiment: one YAML, checked whole before the first job, and cut into what each stage needs.

Sections are merged as defaults < dataset < run (< sample set, for sampling). A mapping is merged
key by key; a list is replaced; a part whose name changes is replaced with its options.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ltdm.data._longtail import LongTail, counts
from ltdm.errors import LtdmError, OptionError
from ltdm.metrics._groups import KINDS, THIRDS
from ltdm.options import KeyPath, changed, mapping, near, option, parse, refuse_unknown
from ltdm.registry import Part, PartOption, load, part
from ltdm.samplers._options import SampleOptions
from ltdm.source import digest
from ltdm.training.options import TrainOptions

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
PARTS = {"network": "unet", "process": "vp", "method": "ddpm"}
SECTIONS = (*PARTS, "train", "sample")
Layer = tuple[KeyPath, Mapping[str, Any]]


@dataclass(frozen=True)
class Evaluate:
    """What is measured and what the main table shows."""

    features: tuple[Part, ...] = option(
        ...,
        "Feature extractors; the main table uses the first.",
        convert=PartOption("extractor", many=True),
    )
    metrics: tuple[Part, ...] = option(..., "Metrics.", convert=PartOption("metric", many=True))
    groups: tuple[str, ...] = option(
        KINDS, "Groups of classes that each metric is given for.", choices=KINDS
    )
    table: tuple[str, ...] = option(
        ("frechet", "frechet@head", "frechet@tail", "frechet@worst"),
        "Columns of the main table: `metric` or `metric@group`.",
    )

    def __post_init__(self) -> None:
        """Refuse columns that nothing computes."""
        known = {m for p in self.metrics for m in p.module.HIGHER_IS_BETTER}
        for column in self.table:
            metric, _, group = column.partition("@")
            if metric not in known:
                raise OptionError(("table",), f"nothing computes {metric!r}; {near(metric, known)}")
            kind = "thirds" if group in THIRDS else group.partition("-")[0] or "all"
            if kind not in self.groups or group == "thirds":
                hint = near(group, [*THIRDS, *(g for g in self.groups if g != "thirds")])
                raise OptionError(("table",), f"no group {group!r} is computed; {hint}")


@dataclass(frozen=True)
class Dataset:
    """A long-tailed data set."""

    source: Part
    longtail: LongTail
    class_counts: list[int]
    sections: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One trained network's options on one data set, and its sample sets'."""

    network: Part
    process: Part
    method: Part
    train: TrainOptions
    samples: Mapping[str, SampleOptions]

    def spec(self) -> dict[str, Any]:
        """Return what training depends on, but for seed and data."""
        return {
            **{k: getattr(self, k).plain() for k in PARTS},
            "train": changed(self.train),
        }

    def train_code(self) -> str:
        """Return the digest of the code that training runs."""
        return stage_code("train", *(getattr(self, k) for k in PARTS))

    def sample_code(self, sample_set: str) -> str:
        """Return the digest of the code that sampling runs."""
        sampler = self.samples[sample_set].sampler
        return stage_code("sample", self.network, self.process, sampler)


def stage_code(stage: str, *parts: Part) -> str:
    """Return the digest of a stage's code and that of the parts it runs."""
    return digest(f"ltdm.stages.{stage}", *(p.module.__name__ for p in parts))


def read(files: list[Path]) -> dict[str, Any]:
    """Read config files, later ones over earlier ones.

    Raises:
        LtdmError: A file is missing or is not YAML.
    """
    merged: dict[str, Any] = {}
    for file in files:
        try:
            content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            raise LtdmError(f"cannot read the config {file}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise LtdmError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
        merged = _over(merged, mapping(content, (str(file),)))
    return merged


def _over(base: Any, top: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(top, Mapping):
        return {**base, **{k: _over(base.get(k), v) for k, v in top.items()}}
    return top


def merge(layers: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge one section's layers, the last one on top; see the module for the rules."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if "name" in layer and layer["name"] != merged.get("name", layer["name"]):
            merged = {}
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, Mapping) and isinstance(below, Mapping):
                value = merge([below, value])
            merged[key] = value
    return merged


class Experiment:
    """A checked experiment.

    Args:
        config: The mapping read from YAML.

    Raises:
        OptionError: Anything in it is unknown, missing, of a wrong type or out of range.
    """

    def __init__(self, config: Mapping[str, Any]):
        top = mapping(config, ())
        keys = (
            "experiment",
            "grid",
            "datasets",
            "defaults",
            "runs",
            "sample_sets",
            "evaluate",
        )
        refuse_unknown(top, keys, ())
        for key in ("experiment", "grid", "datasets", "runs", "evaluate"):
            if key not in top:
                raise OptionError((key,), "is missing")
        self.name = _name(top["experiment"], ("experiment",))
        self.evaluate = parse(Evaluate, top["evaluate"], ("evaluate",))
        self.defaults = _sections(top.get("defaults"), ("defaults",))
        given = {k: mapping(top.get(k), (k,)) for k in ("datasets", "runs", "sample_sets")}
        for kind, entries in given.items():
            for name in entries:
                _name(name, (kind, name))
        given["sample_sets"] = given["sample_sets"] or {"main": {}}
        self.overrides = {r: _sections(v, ("runs", r)) for r, v in given["runs"].items()}
        self.sample_sets = {
            s: _section(mapping(v, ("sample_sets", s)), ("sample_sets", s), "sample")
            for s, v in given["sample_sets"].items()
        }
        self.datasets = {d: _dataset(v, ("datasets", d)) for d, v in given["datasets"].items()}
        self.grid = self._grid(top["grid"])
        self.runs = {
            (d, r): self._run(d, r) for d in self.grid["dataset"] for r in self.grid["run"]
        }

    def about(self, dataset: str, run: str, seed: int, sample_set: str) -> dict[str, Any]:
        """Return the columns that say what a sample set's numbers are about."""
        sample = self.runs[dataset, run].samples[sample_set]
        return {
            "dataset": dataset, "run": run, "seed": seed, "sample_set": sample_set,
            "sampler": sample.sampler.name, "guidance": sample.guidance,
            "weights": sample.weights,
        }  # fmt: skip

    def _grid(self, value: Any) -> dict[str, list[Any]]:
        grid = mapping(value, ("grid",))
        known: dict[str, Any] = {
            "dataset": self.datasets, "run": self.overrides, "sample_set": self.sample_sets,
        }  # fmt: skip
        refuse_unknown(grid, (*known, "seed"), ("grid",))
        grid = {"sample_set": list(self.sample_sets), **grid}
        for axis in ("dataset", "run", "seed", "sample_set"):
            entries = grid.get(axis)
            if not isinstance(entries, list) or not entries:
                raise OptionError(("grid", axis), f"must be a list with entries, not {entries!r}")
            for entry in entries:
                if axis == "seed":
                    if type(entry) is not int or entry < 0:
                        raise OptionError(("grid", axis), f"must be whole numbers, not {entry!r}")
                elif entry not in known[axis]:
                    where = f"{axis}s" if axis != "sample_set" else "sample_sets"
                    hint = near(entry, known[axis])
                    raise OptionError(("grid", axis), f"{entry!r} is not under `{where}`; {hint}")
            if len(set(entries)) < len(entries):
                raise OptionError(("grid", axis), "names an entry twice")
        return grid

    def _run(self, dataset: str, run: str) -> Run:
        """Merge and check one run on one data set."""
        data = self.datasets[dataset]
        layers: list[Layer] = [
            (("defaults",), self.defaults),
            (("datasets", dataset), data.sections),
            (("runs", run), self.overrides[run]),
        ]
        parts = {}
        for kind in PARTS:
            merged = merge([{"name": PARTS[kind]}, *(v.get(kind, {}) for _, v in layers)])
            with _origin(layers, kind):
                parts[kind] = part(kind, merged, (kind,))
        with _origin(layers, "train"):
            train = parse(TrainOptions, merge([v.get("train", {}) for _, v in layers]), ("train",))
        samples = {}
        for name in self.grid["sample_set"]:
            whole = [
                *layers,
                (("sample_sets", name), {"sample": self.sample_sets[name]}),
            ]
            with _origin(whole, "sample"):
                merged = merge([layer.get("sample", {}) for _, layer in whole])
                samples[name] = parse(SampleOptions, merged, ("sample",))
        result = Run(parts["network"], parts["process"], parts["method"], train, samples)
        with _origin(layers, ""):
            _fits(result, data.class_counts)
        return result


class _origin:
    """Tell a merged option's error at the layer that set it."""

    def __init__(self, layers: list[Layer], section: str):
        self.layers, self.section = layers, section

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, OptionError):
            for where, layer in reversed(self.layers):
                if _has(layer, error.path):
                    raise OptionError(_written(where, error.path), error.message) from None
            raise OptionError(("defaults", *error.path), error.message) from None


def _has(layer: Any, path: KeyPath) -> bool:
    for key in path:
        if not isinstance(layer, Mapping) or key not in layer:
            return False
        layer = layer[key]
    return True


def _written(where: KeyPath, path: KeyPath) -> KeyPath:
    """Return the path as the file has it: a sample set's options stand right below its name."""
    return (*where, *path[1:]) if where[0] == "sample_sets" else (*where, *path)


def _fits(run: Run, class_counts: list[int]) -> None:
    """Check what only the options and the data together can tell."""
    total, classes = sum(class_counts), len(class_counts)
    if run.train.batch > total:
        raise OptionError(
            ("train", "batch"),
            f"is {run.train.batch}, but the training set has only {total} images",
        )
    for sample in run.samples.values():
        if sample.images % classes:
            raise OptionError(
                ("sample", "images"), f"is {sample.images}, but must be a multiple of the {classes}"
                " classes, so that each gets the same number",
            )  # fmt: skip
        if sample.guidance > 0 and run.train.label_dropout == 0:
            raise OptionError(
                ("sample", "guidance"), "needs a network that was also trained without labels:"
                " set train.label_dropout above 0, or guidance to 0",
            )  # fmt: skip


def _name(value: Any, path: KeyPath) -> str:
    """Check a name that becomes a folder."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or len(value) > 100:
        raise OptionError(
            path[:-1] or path,
            f"the name {value!r} must be text of small letters, digits, '-', '_' and '.',"
            " beginning with a letter or digit",
        )
    return value


def _section(value: Mapping[str, Any], path: KeyPath, section: str) -> dict[str, Any]:
    """Write shorthands out: a part's bare name becomes a mapping."""
    result = dict(value)
    if section == "sample" and isinstance(result.get("sampler"), str):
        result["sampler"] = {"name": result["sampler"]}
    return result


def _sections(value: Any, path: KeyPath) -> dict[str, dict[str, Any]]:
    given = mapping(value, path)
    refuse_unknown(given, SECTIONS, path)
    result = {}
    for key, v in given.items():
        whole = {"name": v} if key in PARTS and isinstance(v, str) else mapping(v, (*path, key))
        result[key] = _section(whole, (*path, key), key)
    return result


def _dataset(value: Any, path: KeyPath) -> Dataset:
    given = mapping(value, path)
    if "source" not in given:
        raise OptionError((*path, "source"), "is missing")
    module = load("source", given["source"], (*path, "source"))
    shape = {f.name for f in fields(LongTail)}
    own = {f.name for f in fields(module.Options)}
    refuse_unknown(given, {"source", *shape, *own, *SECTIONS}, path)
    options = parse(module.Options, {k: v for k, v in given.items() if k in own}, path)
    source = Part("source", given["source"], options)
    tail = parse(LongTail, {k: v for k, v in given.items() if k in shape}, path)
    try:
        kept = counts(tail, module.sizes(options))
    except LtdmError as error:
        raise OptionError((*path, "imbalance"), str(error)) from error
    sections = _sections({k: v for k, v in given.items() if k in SECTIONS}, path)
    return Dataset(source, tail, kept, sections)
