"""A rule, the jobs that it has in an experiment, and what each of them reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment

Keys = Mapping[str, Any]
"""The wildcards of a job: data set, run, seed, sample set, extractor, metric, .. by name."""
Jobs = Callable[["Experiment"], Iterable[Keys]]
Source = tuple[str, Keys]
"""An artefact, `rule.keyword`, and the wildcards of the job that writes it."""
Find = Callable[["Experiment", Keys], Source | list[Source] | None]

NETWORK = ("dataset", "run", "seed")
SAMPLE_SET = (*NETWORK, "sample_set")
ORDER = ("metric", *SAMPLE_SET, "table", "sweep", "form")
"""Wildcards that a job's own do not settle take all their values, the first one slowest."""


def over(*axes: str, only: Callable[["Experiment"], Any] = bool) -> Jobs:
    """Return the jobs of a rule: one for each combination of these axes, if `only` holds."""

    def jobs(e: "Experiment") -> Iterator[Keys]:
        names = ["metric" if name == "search" else name for name in axes]
        for values in product(*(axis(e, name) for name in axes)) if only(e) else ():
            yield dict(zip(names, values, strict=True))

    return jobs


def axis(e: "Experiment", name: str) -> list[Any]:
    """Return the values that a wildcard takes in an experiment."""
    found = {"extractor": "extractors", "metric": "metrics", "search": "searching"}
    if name in found:
        return [part.label for part in getattr(e.evaluate, found[name])]
    others = {"sweep": [*e.sweeps], "table": ["main", "vs_baseline"], "form": ["md", "tex"]}
    return {**e.grid, **others}[name]


def probed(e: "Experiment") -> bool:
    """Whether the linear probe is asked for."""
    return e.evaluate.probe is not None


def swept(e: "Experiment") -> bool:
    """Whether the theory lab is asked for."""
    return bool(e.sweeps)


def networks(e: "Experiment") -> Iterator[Keys]:
    """Yield each network, those first that others start from, in the grid or not."""
    for (dataset, run), seed in product(e.runs, e.grid["seed"]):
        yield {"dataset": dataset, "run": run, "seed": seed}


def averages(e: "Experiment") -> Iterator[Keys]:
    """Yield each other average of a network's weights that a sample set asks for."""
    for keys in networks(e):
        for width in e.runs[keys["dataset"], keys["run"]].widths:
            yield {**keys, "sigma_rel": width}


def several_widths(e: "Experiment") -> Iterator[Keys]:
    """Yield the data sets on which a run is sampled with averages of several widths."""
    found = {dataset for (dataset, _), run in e.runs.items() if len(run.widths) > 1}
    return ({"dataset": dataset} for dataset in e.grid["dataset"] if dataset in found)


def theory_figures(e: "Experiment") -> Iterator[Keys]:
    """Yield the figures of each sweep."""
    return ({"sweep": n, "figure": f} for n, sweep in e.sweeps.items() for f in sweep.figures)


def start(e: "Experiment", keys: Keys) -> Source | None:
    """Return the network that a run starts from, if it starts from one."""
    run = e.runs[keys["dataset"], keys["run"]].train.init_from
    return ("train.model", {**keys, "run": run}) if run else None


def sampled(e: "Experiment", keys: Keys) -> Source:
    """Return the network that a sample set is made from, with the average that it asks for."""
    width = e.runs[keys["dataset"], keys["run"]].samples[keys["sample_set"]].ema_sigma_rel
    average = "ema.output", {**keys, "sigma_rel": width}
    return ("train.model", keys) if width is None else average


def guiding(e: "Experiment", keys: Keys) -> Source | None:
    """Return the network that guides a sample set, if another one does."""
    guide = e.runs[keys["dataset"], keys["run"]].samples[keys["sample_set"]].guide_run
    return ("train.model", {**keys, "run": guide}) if guide else None


def probe_images(e: "Experiment", keys: Keys) -> Source:
    """Return the labelled images that the probe's classifiers are trained on."""
    balanced = e.evaluate.probe and e.evaluate.probe.train_on == "balanced"
    return ("prepare.reference" if balanced else "prepare.train"), keys


def scored(features: str, neighbours: str) -> Find:
    """Return what finds the files that a metric reads of images: features, or neighbours."""

    def find(e: "Experiment", keys: Keys) -> list[Source]:
        metric = e.evaluate.metric(keys["metric"])
        if metric in e.evaluate.searching:
            return [(neighbours, keys)]
        return [(features, {**keys, "extractor": s}) for s in e.evaluate.spaces(metric)]

    return find


def shown_samples(e: "Experiment", keys: Keys) -> list[Source]:
    """Return one sample set of each run: the first seed's first."""
    first = {name: e.grid[name][0] for name in ("seed", "sample_set")}
    return [("sample.samples", {**keys, **first, "run": run}) for run in e.grid["run"]]


@dataclass(frozen=True)
class Step:
    """One rule."""

    jobs: Jobs
    """The wildcards of each of its jobs."""
    outputs: Mapping[str, str | tuple[str, ...]]
    """Its files below `results/<experiment>/`, by the rule's keywords."""
    inputs: Mapping[str, str | Find] = field(default_factory=dict)
    """The artefacts that it reads, by keyword; what no wildcard settles is all there is of it."""
    stage: str = ""
    """The module of `ltdm.stages`, where it has another name than the rule."""
    draws: bool = False
    """Whether it makes pictures alone, so that no number rests on it."""
