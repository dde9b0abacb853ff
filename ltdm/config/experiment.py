"""The experiment: a config checked whole before the first job, cut into what each stage needs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltdm.config.checkpoint import with_checkpoint
from ltdm.config.compatibility import fits_data, fits_guide, fits_probe, fits_run, fits_start
from ltdm.config.datasets import dataset
from ltdm.config.evaluation import Evaluate
from ltdm.config.layout import Layout
from ltdm.config.merge import Layer, merge, sections, told_at_its_layer
from ltdm.config.runs import Run, RunOptions
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import KeyPath, mapping, near, parse, refuse_unknown
from ltdm.plumbing.registry import PARTS, part, parts
from ltdm.samplers._options import SampleOptions
from ltdm.theory.options import Sweep

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
AXES = {"dataset": "datasets", "run": "runs", "sample_set": "sample_sets"}
GRID = ("dataset", "run", "seed", "sample_set")
TAKEN = ("model.safetensors", "history.csv", "run.json", "state", "posthoc",
         "probe.csv", "probe.json")  # fmt: skip
"""What lies beside the sample sets in a run's folder."""


class Experiment:
    """A checked experiment.

    Args:
        config: The mapping read from YAML.
        results: Where results lie; data prepared there stand in for a source that is gone.

    Raises:
        OptionError: Anything in it is unknown, missing, of a wrong type or out of range.
    """

    def __init__(self, config: Mapping[str, Any], results: Path = Path("results")):
        top = mapping(config, ())
        required = ("experiment", "grid", "datasets", "runs", "evaluate")
        refuse_unknown(top, (*required, "defaults", "sample_sets", "theory", *GRID), ())
        for key in required:
            if key not in top:
                raise OptionError((key,), "is missing")
        self.name = _name(top["experiment"], ("experiment",))
        self.evaluate = parse(Evaluate, top["evaluate"], ("evaluate",))
        self.defaults = sections(top.get("defaults"), ("defaults",))
        self.layout = Layout(results / self.name)
        listed = dict(_named(top, "datasets"))
        self.overrides = {r: sections(v, ("runs", r)) for r, v in _named(top, "runs")}
        sets = {s: mapping(v, ("sample_sets", s)) for s, v in _named(top, "sample_sets")}
        self.sample_sets = sets or {"main": {}}
        sweeps = sorted(_named(top, "theory"))
        self.sweeps = {name: parse(Sweep, v, ("theory", name)) for name, v in sweeps}
        self.grid = self._grid(mapping(top["grid"], ("grid",)), listed)
        for axis in GRID:
            if axis in top:
                self.grid[axis] = _only(axis, top[axis], self.grid[axis])
        self.datasets = {
            d: dataset(listed[d], ("datasets", d), self.layout.data(d) / "data.json")
            for d in self.grid["dataset"]
        }
        self.runs: dict[tuple[str, str], Run] = {}
        for name in self.grid["dataset"]:
            for run in self.grid["run"]:
                self._add(name, run, ())
        baseline = self.evaluate.baseline
        if baseline is not None and baseline not in self.overrides:
            hint = near(baseline, self.overrides)
            raise OptionError(("evaluate", "baseline"), f"{baseline!r} is not under `runs`; {hint}")
        for name, data in self.datasets.items():
            self.evaluate.check_table(data.class_counts)
            self.evaluate.check_searches(name, data.class_counts)
            for extractor in self.evaluate.features:
                if data.census.points and not extractor.module.READS_POINTS:
                    message = f"{extractor.name} reads images, and {name} holds points; take pixels"
                    raise OptionError(("evaluate", "features"), message)
        self._check_extractors()
        self._check_probe()

    def _check_extractors(self) -> None:
        """Let extractors look for the files that they need, until they have been made ready."""
        for i, extractor in enumerate(self.evaluate.features):
            weights = f"extractors/{extractor.label}.safetensors"
            ready = all((self.layout.data(name) / weights).exists() for name in self.datasets)
            if not ready and hasattr(extractor.module, "check"):
                try:
                    extractor.module.check(extractor.options)
                except OptionError as error:
                    path = ("evaluate", "features", str(i), *error.path)
                    raise OptionError(path, error.message) from None

    def _check_probe(self) -> None:
        """Refuse a probe that a network of the grid has no place for."""
        probe = self.evaluate.probe
        for (name, run), made in self.runs.items():
            if probe and run in self.grid["run"]:
                fits_probe(probe, f"{run} on {name}", made, self.datasets[name])

    def _grid(self, given: dict[str, Any], datasets: Mapping[str, Any]) -> dict[str, list[Any]]:
        known: dict[str, Mapping[str, Any]] = {
            "dataset": datasets, "run": self.overrides, "sample_set": self.sample_sets,
        }  # fmt: skip
        refuse_unknown(given, (*known, "seed"), ("grid",))
        grid = {"sample_set": list(self.sample_sets), **given}
        for axis in GRID:
            entries, path = grid.get(axis), ("grid", axis)
            if not isinstance(entries, list) or not entries:
                raise OptionError(path, f"must be a list with entries, not {entries!r}")
            for entry in entries:
                if axis == "seed" and (type(entry) is not int or not 0 <= entry < 2**32):
                    raise OptionError(path, f"must be whole numbers from 0, not {entry!r}")
                if axis != "seed" and (not isinstance(entry, str) or entry not in known[axis]):
                    hint = near(entry, known[axis])
                    raise OptionError(path, f"{entry!r} is not under `{AXES[axis]}`; {hint}")
            if len(set(entries)) < len(entries):
                raise OptionError(path, "names an entry twice")
        return {axis: list(grid[axis]) for axis in GRID}

    def shown(self) -> dict[str, Any]:
        """Return what the tables show."""
        return {
            "columns": list(self.evaluate.table),
            "extractors": [part.label for part in self.evaluate.features],
            "baseline": self.evaluate.baseline or self.grid["run"][0],
        }

    def init(self, dataset: str, run: str, seed: int) -> Path | None:
        """Return the network that a run starts from, if it starts from one."""
        source = self.runs[dataset, run].train.init_from
        return self.layout.run(dataset, source, seed) / "model.safetensors" if source else None

    def model(self, dataset: str, run: str, seed: int, sample_set: str) -> Path:
        """Return the network's file that a sample set is made from."""
        width = self.runs[dataset, run].samples[sample_set].sigma_rel
        return self.layout.model(dataset, run, seed, width)

    def guide(self, dataset: str, run: str, seed: int, sample_set: str) -> Path | None:
        """Return the network that guides a sample set, if another one does."""
        guide = self.runs[dataset, run].samples[sample_set].guide
        return self.layout.model(dataset, guide, seed) if guide else None

    @property
    def swept(self) -> list[str]:
        """The data sets on which a run is sampled with averages of several widths."""
        several = {dataset for (dataset, _), run in self.runs.items() if len(run.widths) > 1}
        return [dataset for dataset in self.grid["dataset"] if dataset in several]

    def _add(self, dataset: str, run: str, heirs: tuple[str, ...]) -> Run:
        """Add a run, after those that it starts from, in the grid or not."""
        if (dataset, run) in self.runs:
            return self.runs[dataset, run]
        made, layers = self._run(dataset, run), self._layers(dataset, run)
        source = made.train.init_from
        if source:
            with told_at_its_layer(layers):
                self._check_source(source, (*heirs, run))
            start = self._add(dataset, source, (*heirs, run))
            with told_at_its_layer(layers):
                fits_start(made, start, source, self.datasets[dataset])
        self.runs[dataset, run] = made
        for sample_set, one in made.samples.items():
            with told_at_its_layer([*layers, self._set_layer(sample_set)]):
                self._guided(dataset, run, one)
        return made

    def _guided(self, dataset: str, run: str, sample: SampleOptions) -> None:
        """Add the run whose network guides a sample set, if one does, in the grid or not."""
        if sample.guide is None:
            return
        if sample.guide not in self.overrides:
            hint = near(sample.guide, self.overrides)
            message = f"{sample.guide!r} is not under `runs`; {hint}"
            raise OptionError(("sample", "guide"), message)
        guide = self._add(dataset, sample.guide, ())
        fits_guide(sample.guide, guide, self.runs[dataset, run], self.datasets[dataset])

    def _set_layer(self, sample_set: str) -> Layer:
        return ("sample_sets", sample_set), {"sample": self.sample_sets[sample_set]}

    def _check_source(self, source: str, heirs: tuple[str, ...]) -> None:
        path = ("train", "init_from")
        if source not in self.overrides:
            hint = near(source, self.overrides)
            raise OptionError(path, f"{source!r} is not under `runs`; {hint}")
        if source in heirs:
            circle = " from ".join((*heirs[heirs.index(source) :], source))
            raise OptionError(path, f"goes in a circle: {circle}")

    def _layers(self, dataset: str, run: str) -> list[Layer]:
        """Return what a run on a data set is merged from."""
        return [
            (("defaults",), self.defaults),
            (("datasets", dataset), self.datasets[dataset].sections),
            (("runs", run), self.overrides[run]),
        ]

    def _run(self, dataset: str, run: str) -> Run:
        """Merge and check one run on one data set."""
        data, layers = self.datasets[dataset], self._layers(dataset, run)
        samples: dict[str, SampleOptions] = {}
        with told_at_its_layer(layers):
            merged = merge([PARTS, *(layer for _, layer in layers)])
            network, process = (part(k, merged[k], (k,)) for k in ("network", "process"))
            methods = parts("method", merged["method"], ("method",))
            train = parse(RunOptions, merged.get("train"), ("train",))
            fits_data(network, process, methods, train, data)
            made = Run(network, process, methods, train, samples)
            if train.released:
                folders = [self.layout.run(dataset, run, seed) for seed in self.grid["seed"]]
                made = with_checkpoint(made, data, [f / "run.json" for f in folders])
        for name in self.grid["sample_set"] if run in self.grid["run"] else ():
            whole = [*layers, self._set_layer(name)]
            with told_at_its_layer(whole):
                merged = merge([layer for _, layer in whole])
                samples[name] = parse(SampleOptions, merged.get("sample"), ("sample",))
                fits_run(samples[name], made, data)
        return made


def _only(axis: str, wanted: Any, entries: list[Any]) -> list[Any]:
    """Return the entries of an axis that are wanted: a list, one, or several with commas between.

    Raises:
        OptionError: Something wanted is not in the grid.
    """
    listed = wanted.split(",") if isinstance(wanted, str) else wanted
    listed = listed if isinstance(listed, list) else [listed]
    listed = [one for one in listed if one not in (None, "")]
    texts = {str(entry): entry for entry in entries}
    if not listed:
        raise OptionError((axis,), f"must name some of the grid; known: {', '.join(texts)}")
    for one in listed:
        if str(one).strip() not in texts:
            raise OptionError((axis,), f"{one!r} is not in the grid; {near(one, texts)}")
    asked = {str(one).strip() for one in listed}
    return [entry for text, entry in texts.items() if text in asked]


def _named(top: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Return the entries of a mapping by name, once the names are fit for folders."""
    entries = mapping(top.get(key), (key,))
    for name in entries:
        _name(name, (key,))
        if key == "sample_sets" and name in TAKEN:
            raise OptionError((key, name), "is the name of a run's own file; choose another")
    return list(entries.items())


def _name(value: Any, path: KeyPath) -> str:
    """Check a name that becomes a folder."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or len(value) > 100:
        raise OptionError(
            path,
            f"the name {value!r} must be text of small letters, digits, '-', '_' and '.',"
            " beginning with a letter or digit",
        )
    return value
