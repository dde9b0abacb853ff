"""The experiment: a config, checked completely before the first job runs."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ltdm.config.artefacts import check_lengths
from ltdm.config.checkpoint import attach_checkpoint
from ltdm.config.compatibility import (
    check_guide,
    check_init_from,
    check_probe,
    check_run_on_data,
    check_sampling,
)
from ltdm.config.datasets import Dataset, parse_dataset
from ltdm.config.evaluation import Evaluation
from ltdm.config.grid import (
    GRID_AXES,
    check_experiment_name,
    named_entries,
    parse_grid,
    restrict_axis,
)
from ltdm.config.layout import Layout
from ltdm.config.merge import ConfigLayer, check_sections, merge, relocate_errors, split_run
from ltdm.config.plan import Plan, make_plan
from ltdm.config.runs import Run, RunOptions
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import as_mapping, parse, reject_unknown, suggest
from ltdm.plumbing.registry import DEFAULT_PARTS, parse_part, parse_parts
from ltdm.samplers._options import SampleOptions
from ltdm.theory.options import Sweep


class Experiment:
    """A checked experiment: its data sets, runs, grid, evaluation and file layout.

    `config` is a mapping read from YAML. Data prepared below `results` are used for a source whose
    files are gone.

    Raises:
        OptionError: A key is unknown or missing, or a value has a wrong type, is out of range, or
            does not fit the others.
    """

    def __init__(self, config: Mapping[str, Any], results: Path = Path("results")):
        top = as_mapping(config, ())
        required = ("experiment", "grid", "datasets", "runs", "evaluate")
        known = (*required, "defaults", "sample_sets", "theory", "inherits", *GRID_AXES)
        reject_unknown(top, known, ())
        if "inherits" in top:
            raise OptionError(("inherits",), "works only in a config file; write it there")
        for key in required:
            if key not in top:
                raise OptionError((key,), "is missing")
        self.name = check_experiment_name(top["experiment"])
        self.evaluate = parse(Evaluation, top["evaluate"], ("evaluate",))
        self.defaults = check_sections(top.get("defaults"), ("defaults",))
        self.layout = Layout(results / self.name)
        datasets = dict(named_entries(top, "datasets"))
        sets = {s: as_mapping(v, ("sample_sets", s)) for s, v in named_entries(top, "sample_sets")}
        self.sample_sets = sets or {"main": {}}
        runs = [split_run(name, v, self.sample_sets) for name, v in named_entries(top, "runs")]
        self.overrides = {run: sections for run, sections, _ in runs}
        self.sets_of_run = {run: sample_sets for run, _, sample_sets in runs}
        sweeps = sorted(named_entries(top, "theory"))
        self.sweeps = {name: parse(Sweep, v, ("theory", name)) for name, v in sweeps}
        names = {"dataset": datasets, "run": self.overrides, "sample_set": self.sample_sets}
        self.grid = parse_grid(top["grid"], names)
        for axis in GRID_AXES:
            if axis in top:
                self.grid[axis] = restrict_axis(axis, top[axis], self.grid[axis])
        self._check_first_sample_set()
        self.datasets = {name: self._dataset(name, datasets[name]) for name in self.grid["dataset"]}
        self.runs: dict[tuple[str, str], Run] = {}
        for dataset in self.grid["dataset"]:
            for run in self.datasets[dataset].runs:
                self._check_run_name(run, "datasets", dataset, "runs")
            for run in self.grid["run"]:
                self._add_run(dataset, run, ())
        self._check_evaluation()
        self._check_extractors()
        self._check_probe()
        check_lengths(self.plan)

    @cached_property
    def plan(self) -> Plan:
        """What the rules of the workflow ask of the experiment."""
        return make_plan(self)

    def _dataset(self, name: str, value: Any) -> Dataset:
        record = self.layout.path("prepare.record", dataset=name)
        return parse_dataset(value, ("datasets", name), record)

    def _check_evaluation(self) -> None:
        """Refuse a baseline, columns, neighbour counts and extractors that do not fit the data."""
        if self.evaluate.baseline is not None:
            self._check_run_name(self.evaluate.baseline, "evaluate", "baseline")
        for name, data in self.datasets.items():
            self.evaluate.check_table(data.class_counts)
            self.evaluate.check_neighbour_counts(name, data.class_counts)
            if self.evaluate.tuning_half:
                known = data.reference_split == "train"
                self.evaluate.check_tuning(data.info.class_counts if known else [])
            for extractor in self.evaluate.extractors:
                if data.info.points and not extractor.module.SUPPORTS_POINTS:
                    message = f"{extractor.name} reads images, and {name} holds points; use pixels"
                    raise OptionError(("evaluate", "extractors"), message)

    def _check_first_sample_set(self) -> None:
        """Refuse a run of the grid without the first sample set, which figures and benches use."""
        first = self.grid["sample_set"][0]
        for run in self.grid["run"]:
            if first not in self.sets_of_run[run]:
                raise OptionError(
                    ("runs", run, "omit_sample_sets"),
                    f"leaves out {first}, the first of the selected sample sets, of which figures"
                    " show every run; put another first in the grid, or leave the run out too",
                )

    def _check_run_name(self, run: str, *path: str) -> None:
        """Refuse a name, at `path`, of which there is no run."""
        if run not in self.overrides:
            raise OptionError(path, f"{run!r} is not under `runs`; {suggest(run, self.overrides)}")

    def _check_extractors(self) -> None:
        """Let extractors that are not prepared yet check the files that they need."""
        for i, extractor in enumerate(self.evaluate.extractors):
            label, path = extractor.label, self.layout.path
            weights = (path("extractor.weights", dataset=d, extractor=label) for d in self.datasets)
            if not all(file.exists() for file in weights) and hasattr(extractor.module, "check"):
                try:
                    extractor.module.check(extractor.options)
                except OptionError as error:
                    full_path = ("evaluate", "extractors", str(i), *error.path)
                    raise OptionError(full_path, error.message) from None

    def _check_probe(self) -> None:
        """Refuse a linear probe that does not fit a network of the grid or its data."""
        probe = self.evaluate.probe
        for (dataset, name), run in self.runs.items():
            if probe and name in self.grid["run"]:
                check_probe(probe, f"{name} on {dataset}", run, self.datasets[dataset])

    def _add_run(self, dataset: str, name: str, heirs: tuple[str, ...]) -> Run:
        """Return a run, once it is in `runs` with the runs that it starts from and its guides.

        Those need not be in the grid. `heirs` are the runs that start from this one, directly or
        not; in `runs` a run comes after the one that it starts from.
        """
        if (dataset, name) in self.runs:
            return self.runs[dataset, name]
        run, layers = self._build_run(dataset, name), self._layers(dataset, name)
        owner = f"run {name} on {dataset}"
        if start_name := run.train.init_from:
            heirs, path = (*heirs, name), ("train", "init_from")
            with relocate_errors(layers, owner):
                self._check_run_name(start_name, *path)
                if start_name in heirs:
                    circle = " from ".join((*heirs[heirs.index(start_name) :], start_name))
                    raise OptionError(path, f"goes in a circle: {circle}; take one of them out")
            start = self._add_run(dataset, start_name, heirs)
            with relocate_errors(layers, owner):
                check_init_from(run, start, start_name, self.datasets[dataset])
        self.runs[dataset, name] = run
        for sample_set, sample in run.samples.items():
            if (guide_name := sample.guide_run) is not None:
                layers = self._layers(dataset, name, sample_set)
                with relocate_errors(layers, owner, self._set_name(sample_set)):
                    self._check_run_name(guide_name, "sample", "guide_run")
                guide = self._add_run(dataset, guide_name, ())
                with relocate_errors(layers, owner, self._set_name(sample_set)):
                    check_guide(guide_name, guide, run, self.datasets[dataset])
        return run

    def _set_name(self, sample_set: str) -> str:
        """Return the name of a sample set for messages: none if it is the only one."""
        return sample_set if len(self.sample_sets) > 1 else ""

    def _layers(self, dataset: str, run: str, *sample_sets: str) -> list[ConfigLayer]:
        """Return the layers of which a run on a data set, or a sample set of it, is merged."""
        return [
            (("defaults",), self.defaults),
            (("datasets", dataset), self.datasets[dataset].sections),
            (("runs", run), self.overrides[run]),
            (("datasets", dataset, "runs", run), self.datasets[dataset].runs.get(run, {})),
            *((("sample_sets", s), {"sample": self.sample_sets[s]}) for s in sample_sets),
        ]

    def _build_run(self, dataset: str, name: str) -> Run:
        """Merge and check one run on one data set, with its sample sets."""
        data, layers = self.datasets[dataset], self._layers(dataset, name)
        samples: dict[str, SampleOptions] = {}
        owner = f"run {name} on {dataset}"
        with relocate_errors(layers, owner):
            merged = merge([DEFAULT_PARTS, *(layer for _, layer in layers)])
            network, process = (parse_part(k, merged[k], (k,)) for k in ("network", "process"))
            methods = parse_parts("method", merged["method"], ("method",))
            train = parse(RunOptions, merged.get("train"), ("train",))
            run = Run(network, process, methods, train, samples)
            check_run_on_data(run, data)
            if train.released:
                keys = [{"dataset": dataset, "run": name, "seed": s} for s in self.grid["seed"]]
                records = [self.layout.path("train.record", **k) for k in keys]
                run = attach_checkpoint(run, data, records)
        wanted = self.grid["sample_set"] if name in self.grid["run"] else ()
        for sample_set in [one for one in wanted if one in self.sets_of_run[name]]:
            layers = self._layers(dataset, name, sample_set)
            with relocate_errors(layers, owner, self._set_name(sample_set)):
                merged = merge([layer for _, layer in layers])
                samples[sample_set] = parse(SampleOptions, merged.get("sample"), ("sample",))
                check_sampling(samples[sample_set], run, data)
        return run
