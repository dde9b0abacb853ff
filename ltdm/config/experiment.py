"""The experiment: a config checked whole before the first job, cut into what each stage needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltdm.config.checkpoint import attach_checkpoint
from ltdm.config.compatibility import (
    check_guide,
    check_init_from,
    check_probe,
    check_run_on_data,
    check_sampling,
)
from ltdm.config.datasets import parse_dataset
from ltdm.config.evaluation import Evaluation
from ltdm.config.grid import GRID_AXES, check_name, named_entries, parse_grid, restrict_axis
from ltdm.config.layout import Layout
from ltdm.config.merge import ConfigLayer, check_sections, merge, relocate_errors
from ltdm.config.runs import Run, RunOptions
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import as_mapping, parse, reject_unknown, suggest
from ltdm.plumbing.registry import DEFAULT_PARTS, parse_part, parse_parts
from ltdm.samplers._options import SampleOptions
from ltdm.theory.options import Sweep


class Experiment:
    """A checked experiment, of a mapping read from YAML.

    Data that were prepared below `results` stand in for a source that is gone.

    Raises:
        OptionError: Anything in it is unknown, missing, of a wrong type or out of range.
    """

    def __init__(self, config: Mapping[str, Any], results: Path = Path("results")):
        top = as_mapping(config, ())
        required = ("experiment", "grid", "datasets", "runs", "evaluate")
        reject_unknown(top, (*required, "defaults", "sample_sets", "theory", *GRID_AXES), ())
        for key in required:
            if key not in top:
                raise OptionError((key,), "is missing")
        self.name = check_name(top["experiment"], ("experiment",))
        self.evaluate = parse(Evaluation, top["evaluate"], ("evaluate",))
        self.defaults = check_sections(top.get("defaults"), ("defaults",))
        self.layout = Layout(results / self.name)
        listed = dict(named_entries(top, "datasets"))
        self.overrides = {r: check_sections(v, ("runs", r)) for r, v in named_entries(top, "runs")}
        sets = {s: as_mapping(v, ("sample_sets", s)) for s, v in named_entries(top, "sample_sets")}
        self.sample_sets = sets or {"main": {}}
        sweeps = sorted(named_entries(top, "theory"))
        self.sweeps = {name: parse(Sweep, v, ("theory", name)) for name, v in sweeps}
        known = {"dataset": listed, "run": self.overrides, "sample_set": self.sample_sets}
        self.grid = parse_grid(top["grid"], known)
        for axis in GRID_AXES:
            if axis in top:
                self.grid[axis] = restrict_axis(axis, top[axis], self.grid[axis])
        self.datasets = {
            d: parse_dataset(
                listed[d], ("datasets", d), self.layout.path("prepare.record", dataset=d)
            )
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
        if self.evaluate.baseline is not None:
            self._check_run(self.evaluate.baseline, "evaluate", "baseline")
        for name, data in self.datasets.items():
            self.evaluate.check_table(data.class_counts)
            self.evaluate.check_neighbour_counts(name, data.class_counts)
            for extractor in self.evaluate.extractors:
                if data.census.points and not extractor.module.READS_POINTS:
                    message = f"{extractor.name} reads images, and {name} holds points; take pixels"
                    raise OptionError(("evaluate", "extractors"), message)

    def _check_run(self, run: str, *path: str) -> None:
        if run not in self.overrides:
            raise OptionError(path, f"{run!r} is not under `runs`; {suggest(run, self.overrides)}")

    def _check_extractors(self) -> None:
        """Let extractors look for the files that they need, until they have been made ready."""
        for i, extractor in enumerate(self.evaluate.extractors):
            label, path = extractor.label, self.layout.path
            weights = (path("extractor.weights", dataset=d, extractor=label) for d in self.datasets)
            if not all(file.exists() for file in weights) and hasattr(extractor.module, "check"):
                try:
                    extractor.module.check(extractor.options)
                except OptionError as error:
                    where = ("evaluate", "extractors", str(i), *error.path)
                    raise OptionError(where, error.message) from None

    def _check_probe(self) -> None:
        """Refuse a probe that a network of the grid has no place for."""
        probe = self.evaluate.probe
        for (name, run), made in self.runs.items():
            if probe and run in self.grid["run"]:
                check_probe(probe, f"{run} on {name}", made, self.datasets[name])

    def _add(self, dataset: str, run: str, heirs: tuple[str, ...]) -> Run:
        """Add a run, after those that it starts from and before its guides, in the grid or not."""
        if (dataset, run) in self.runs:
            return self.runs[dataset, run]
        made, layers = self._run(dataset, run), self._layers(dataset, run)
        if source := made.train.init_from:
            heirs, path = (*heirs, run), ("train", "init_from")
            with relocate_errors(layers):
                self._check_run(source, *path)
                if source in heirs:
                    circle = " from ".join((*heirs[heirs.index(source) :], source))
                    raise OptionError(path, f"goes in a circle: {circle}")
            start = self._add(dataset, source, heirs)
            with relocate_errors(layers):
                check_init_from(made, start, source, self.datasets[dataset])
        self.runs[dataset, run] = made
        for sample_set, one in made.samples.items():
            if one.guide_run is not None:
                with relocate_errors(self._layers(dataset, run, sample_set)):
                    self._check_run(one.guide_run, "sample", "guide_run")
                    guide = self._add(dataset, one.guide_run, ())
                    check_guide(one.guide_run, guide, made, self.datasets[dataset])
        return made

    def _layers(self, dataset: str, run: str, *sample_sets: str) -> list[ConfigLayer]:
        """Return what a run on a data set, or a sample set of it, is merged from."""
        return [
            (("defaults",), self.defaults),
            (("datasets", dataset), self.datasets[dataset].sections),
            (("runs", run), self.overrides[run]),
            *((("sample_sets", s), {"sample": self.sample_sets[s]}) for s in sample_sets),
        ]

    def _run(self, dataset: str, run: str) -> Run:
        """Merge and check one run on one data set."""
        data, layers = self.datasets[dataset], self._layers(dataset, run)
        samples: dict[str, SampleOptions] = {}
        with relocate_errors(layers):
            merged = merge([DEFAULT_PARTS, *(layer for _, layer in layers)])
            network, process = (parse_part(k, merged[k], (k,)) for k in ("network", "process"))
            methods = parse_parts("method", merged["method"], ("method",))
            train = parse(RunOptions, merged.get("train"), ("train",))
            made = Run(network, process, methods, train, samples)
            check_run_on_data(made, data)
            if train.released:
                keys = [{"dataset": dataset, "run": run, "seed": s} for s in self.grid["seed"]]
                records = [self.layout.path("train.record", **one) for one in keys]
                made = attach_checkpoint(made, data, records)
        for name in self.grid["sample_set"] if run in self.grid["run"] else ():
            layers = self._layers(dataset, run, name)
            with relocate_errors(layers):
                merged = merge([layer for _, layer in layers])
                samples[name] = parse(SampleOptions, merged.get("sample"), ("sample",))
                check_sampling(samples[name], made, data)
        return made
