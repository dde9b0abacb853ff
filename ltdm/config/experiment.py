"""The experiment: a config checked whole before the first job, cut into what each stage needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltdm.config.checkpoint import with_checkpoint
from ltdm.config.compatibility import fits_data, fits_guide, fits_probe, fits_run, fits_start
from ltdm.config.datasets import dataset
from ltdm.config.evaluation import Evaluate
from ltdm.config.grid import GRID, check_name, named_entries, parse_grid, restrict_axis
from ltdm.config.layout import Layout
from ltdm.config.merge import Layer, merge, sections, told_at_its_layer
from ltdm.config.runs import Run, RunOptions
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import mapping, near, parse, refuse_unknown
from ltdm.plumbing.registry import PARTS, part, parts
from ltdm.samplers._options import SampleOptions
from ltdm.theory.options import Sweep


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
        self.name = check_name(top["experiment"], ("experiment",))
        self.evaluate = parse(Evaluate, top["evaluate"], ("evaluate",))
        self.defaults = sections(top.get("defaults"), ("defaults",))
        self.layout = Layout(results / self.name)
        listed = dict(named_entries(top, "datasets"))
        self.overrides = {r: sections(v, ("runs", r)) for r, v in named_entries(top, "runs")}
        sets = {s: mapping(v, ("sample_sets", s)) for s, v in named_entries(top, "sample_sets")}
        self.sample_sets = sets or {"main": {}}
        sweeps = sorted(named_entries(top, "theory"))
        self.sweeps = {name: parse(Sweep, v, ("theory", name)) for name, v in sweeps}
        known = {"dataset": listed, "run": self.overrides, "sample_set": self.sample_sets}
        self.grid = parse_grid(mapping(top["grid"], ("grid",)), known)
        for axis in GRID:
            if axis in top:
                self.grid[axis] = restrict_axis(axis, top[axis], self.grid[axis])
        self.datasets = {
            d: dataset(listed[d], ("datasets", d), self.layout.path("prepare.record", dataset=d))
            for d in self.grid["dataset"]
        }
        self.runs: dict[tuple[str, str], Run] = {}
        for name in self.grid["dataset"]:
            for run in self.grid["run"]:
                self._add(name, run, ())
        self._check_evaluation()
        self._check_extractors()
        self._check_probe()

    def _check_evaluation(self) -> None:
        """Refuse a baseline, columns, searches and extractors that do not suit the data sets."""
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

    def _check_extractors(self) -> None:
        """Let extractors look for the files that they need, until they have been made ready."""
        for i, extractor in enumerate(self.evaluate.features):
            label, path = extractor.label, self.layout.path
            weights = (path("extractor.weights", dataset=d, extractor=label) for d in self.datasets)
            if not all(file.exists() for file in weights) and hasattr(extractor.module, "check"):
                try:
                    extractor.module.check(extractor.options)
                except OptionError as error:
                    where = ("evaluate", "features", str(i), *error.path)
                    raise OptionError(where, error.message) from None

    def _check_probe(self) -> None:
        """Refuse a probe that a network of the grid has no place for."""
        probe = self.evaluate.probe
        for (name, run), made in self.runs.items():
            if probe and run in self.grid["run"]:
                fits_probe(probe, f"{run} on {name}", made, self.datasets[name])

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
                keys = {"dataset": dataset, "run": run}
                path, seeds = self.layout.path, self.grid["seed"]
                records = [path("train.record", **keys, seed=seed) for seed in seeds]
                made = with_checkpoint(made, data, records)
        for name in self.grid["sample_set"] if run in self.grid["run"] else ():
            whole = [*layers, self._set_layer(name)]
            with told_at_its_layer(whole):
                merged = merge([layer for _, layer in whole])
                samples[name] = parse(SampleOptions, merged.get("sample"), ("sample",))
                fits_run(samples[name], made, data)
        return made
