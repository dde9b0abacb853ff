"""A rule, the jobs that it has in an experiment, and what each of them reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment

Wildcards = Mapping[str, Any]
"""The wildcards of a job: data set, run, seed, sample set, extractor, metric, .. by name."""
ListJobs = Callable[["Experiment"], Iterable[Wildcards]]
ArtefactRef = tuple[str, Wildcards]
"""An artefact, `rule.keyword`, and the wildcards of the job that writes it."""
FindArtefacts = Callable[["Experiment", Wildcards], ArtefactRef | list[ArtefactRef] | None]

NETWORK = ("dataset", "run", "seed")
SAMPLE_SET = (*NETWORK, "sample_set")
WILDCARD_ORDER = ("metric", *SAMPLE_SET, "table", "sweep", "form")
"""Wildcards that a job's own do not settle take all their values, the first one slowest."""


def jobs_per(*axes: str, only: Callable[["Experiment"], Any] = bool) -> ListJobs:
    """Return the jobs of a rule: one for each combination of these axes, if `only` holds."""

    def jobs(experiment: "Experiment") -> Iterator[Wildcards]:
        names = ["metric" if name == "search" else name for name in axes]
        for values in (
            product(*(axis_values(experiment, name) for name in axes)) if only(experiment) else ()
        ):
            yield dict(zip(names, values, strict=True))

    return jobs


def axis_values(experiment: "Experiment", name: str) -> list[Any]:
    """Return the values that a wildcard takes in an experiment."""
    found = {"extractor": "extractors", "metric": "metrics", "search": "searching"}
    if name in found:
        return [part.label for part in getattr(experiment.evaluate, found[name])]
    others = {
        "sweep": [*experiment.sweeps],
        "table": ["main", "vs_baseline"],
        "form": ["md", "tex"],
    }
    return {**experiment.grid, **others}[name]


def has_probe(experiment: "Experiment") -> bool:
    """Whether the linear probe is asked for."""
    return experiment.evaluate.probe is not None


def has_theory(experiment: "Experiment") -> bool:
    """Whether the theory lab is asked for."""
    return bool(experiment.sweeps)


def all_networks(experiment: "Experiment") -> Iterator[Wildcards]:
    """Yield each network, those first that others start from, in the grid or not."""
    for (dataset, run), seed in product(experiment.runs, experiment.grid["seed"]):
        yield {"dataset": dataset, "run": run, "seed": seed}


def networks_with_ema_width(experiment: "Experiment") -> Iterator[Wildcards]:
    """Yield each other average of a network's weights that a sample set asks for."""
    for wildcards in all_networks(experiment):
        for width in experiment.runs[wildcards["dataset"], wildcards["run"]].widths:
            yield {**wildcards, "sigma_rel": width}


def datasets_with_ema_sweep(experiment: "Experiment") -> Iterator[Wildcards]:
    """Yield the data sets on which a run is sampled with averages of several widths."""
    found = {dataset for (dataset, _), run in experiment.runs.items() if len(run.widths) > 1}
    return ({"dataset": dataset} for dataset in experiment.grid["dataset"] if dataset in found)


def figures_of_sweeps(experiment: "Experiment") -> Iterator[Wildcards]:
    """Yield the figures of each sweep."""
    return (
        {"sweep": n, "figure": f} for n, sweep in experiment.sweeps.items() for f in sweep.figures
    )


def initial_network(experiment: "Experiment", wildcards: Wildcards) -> ArtefactRef | None:
    """Return the network that a run starts from, if it starts from one."""
    run = experiment.runs[wildcards["dataset"], wildcards["run"]].train.init_from
    return ("train.model", {**wildcards, "run": run}) if run else None


def sampled_network(experiment: "Experiment", wildcards: Wildcards) -> ArtefactRef:
    """Return the network that a sample set is made from, with the average that it asks for."""
    width = (
        experiment.runs[wildcards["dataset"], wildcards["run"]]
        .samples[wildcards["sample_set"]]
        .ema_sigma_rel
    )
    average = "ema.output", {**wildcards, "sigma_rel": width}
    return ("train.model", wildcards) if width is None else average


def guide_network(experiment: "Experiment", wildcards: Wildcards) -> ArtefactRef | None:
    """Return the network that guides a sample set, if another one does."""
    guide = (
        experiment.runs[wildcards["dataset"], wildcards["run"]]
        .samples[wildcards["sample_set"]]
        .guide_run
    )
    return ("train.model", {**wildcards, "run": guide}) if guide else None


def probe_training_images(experiment: "Experiment", wildcards: Wildcards) -> ArtefactRef:
    """Return the labelled images that the probe's classifiers are trained on."""
    balanced = experiment.evaluate.probe and experiment.evaluate.probe.train_on == "balanced"
    return ("prepare.reference" if balanced else "prepare.train"), wildcards


def metric_inputs(features: str, neighbours: str) -> FindArtefacts:
    """Return what finds the files that a metric reads of images: features, or neighbours."""

    def find(experiment: "Experiment", wildcards: Wildcards) -> list[ArtefactRef]:
        metric = experiment.evaluate.metric(wildcards["metric"])
        if metric in experiment.evaluate.searching:
            return [(neighbours, wildcards)]
        return [
            (features, {**wildcards, "extractor": s}) for s in experiment.evaluate.spaces(metric)
        ]

    return find


def first_samples(experiment: "Experiment", wildcards: Wildcards) -> list[ArtefactRef]:
    """Return one sample set of each run: the first seed's first."""
    first = {name: experiment.grid[name][0] for name in ("seed", "sample_set")}
    return [
        ("sample.samples", {**wildcards, **first, "run": run}) for run in experiment.grid["run"]
    ]


@dataclass(frozen=True)
class Rule:
    """One rule."""

    jobs: ListJobs
    """The wildcards of each of its jobs."""
    outputs: Mapping[str, str | tuple[str, ...]]
    """Its files below `results/<experiment>/`, by the rule's keywords."""
    inputs: Mapping[str, str | FindArtefacts] = field(default_factory=dict)
    """The artefacts that it reads, by keyword; what no wildcard settles is all there is of it."""
    stage: str = ""
    """The module of `ltdm.stages`, where it has another name than the rule."""
    pictures_only: bool = False
    """Whether it makes pictures alone, so that no number rests on it."""
