"""A rule of the workflow: its jobs in an experiment, and the artefacts that each of them reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from ltdm.plumbing.request import Request

if TYPE_CHECKING:
    from ltdm.config.plan import NetworkPlan, Plan, SampleSetPlan

Wildcards = Mapping[str, Any]
"""The wildcards of a job by name: dataset, run, seed, sample_set, extractor, metric, and others."""
ListJobs = Callable[["Plan"], Iterable[Wildcards]]
ArtefactRef = tuple[str, Wildcards]
"""An artefact, `rule.keyword`, and the wildcards of the job that writes it."""
FindArtefacts = Callable[["Plan", Wildcards], ArtefactRef | list[ArtefactRef] | None]

NETWORK = ("dataset", "run", "seed")
SAMPLE_SET = (*NETWORK, "sample_set")
FIGURE_FORMATS = ("pdf", "png", "csv")
WILDCARD_ORDER = ("metric", *SAMPLE_SET, "table", "sweep", "form")
"""A wildcard that a job leaves open takes all its values; the first of these varies slowest."""


def jobs_per(*axes: str, only: Callable[["Plan"], Any] = bool) -> ListJobs:
    """Return a rule's list of jobs: one per combination of these axes; none unless `only` holds.

    A sample set that a run leaves out has no job.

    The axis `search` holds the metrics that read nearest neighbours; its wildcard is `metric`.
    """
    names = ["metric" if axis == "search" else axis for axis in axes]

    def list_jobs(plan: "Plan") -> Iterator[Wildcards]:
        if only(plan):
            for values in product(*(plan.axes[axis] for axis in axes)):
                wildcards = dict(zip(names, values, strict=True))
                if has_sample_set(plan, wildcards):
                    yield wildcards

    return list_jobs


def in_folder(folder: str, **files: str) -> dict[str, str]:
    """Return files by keyword, each with its folder before it."""
    return {keyword: f"{folder}/{file}" for keyword, file in files.items()}


def figure_files(name: str) -> dict[str, str]:
    """Return the PDF and the PNG of a figure, and the numbers behind it as CSV."""
    return {form: f"figures/{name}.{form}" for form in FIGURE_FORMATS}


def has_sample_set(plan: "Plan", wildcards: Wildcards) -> bool:
    """Whether the run of these wildcards has their sample set, if they name one."""
    if "sample_set" not in wildcards or "run" not in wildcards:
        return True
    return wildcards["sample_set"] in plan.sets_of_run[wildcards["run"]]


def with_wildcards(fields: Mapping[str, Any], wildcards: Wildcards) -> Request:
    """Return the request of a job from that of another which differs in seed and shard alone."""
    where = {axis: wildcards[axis] for axis in SAMPLE_SET if axis in wildcards}
    if "seed" in where:
        where["seed"] = int(where["seed"])
    job: dict[str, Any] = {"seed": where["seed"]} if "seed" in fields else {}
    if "scatteritem" in wildcards:
        number, num_shards = wildcards["scatteritem"].split("-of-")
        job["shard"] = [int(number) - 1, int(num_shards)]
    return Request({**fields, **job}, where=where)


def has_probe(plan: "Plan") -> bool:
    """Whether the config has a linear probe."""
    return plan.probe_train_on is not None


def has_tuning(plan: "Plan") -> bool:
    """Whether settings are chosen on a half of the reference."""
    return plan.tuning_half


def has_theory(plan: "Plan") -> bool:
    """Whether the config has sweeps of the theory lab."""
    return bool(plan.axes["sweep"])


def list_networks(plan: "Plan") -> Iterator[Wildcards]:
    """Yield every network; one that others start from comes before them, in the grid or not."""
    for (dataset, run), seed in product(plan.networks, plan.axes["seed"]):
        yield {"dataset": dataset, "run": run, "seed": seed}


def list_ema_widths(plan: "Plan") -> Iterator[Wildcards]:
    """Yield every network with every width of post-hoc EMA that a sample set of it uses."""
    for wildcards in list_networks(plan):
        for width in _network(plan, wildcards).ema_widths:
            yield {**wildcards, "sigma_rel": width}


def list_ema_sweeps(plan: "Plan") -> Iterator[Wildcards]:
    """Yield the data sets on which some run is sampled at several widths of post-hoc EMA."""
    swept = {dataset for (dataset, _), run in plan.networks.items() if len(run.ema_widths) > 1}
    return ({"dataset": dataset} for dataset in plan.axes["dataset"] if dataset in swept)


def list_guidance_sweeps(plan: "Plan") -> Iterator[Wildcards]:
    """Yield the data sets on which some run is sampled with several weights of guidance."""
    swept = {
        dataset
        for (dataset, _), run in plan.networks.items()
        if len({sample.guidance for sample in run.samples.values()}) > 1
    }
    return ({"dataset": dataset} for dataset in plan.axes["dataset"] if dataset in swept)


def list_theory_figures(plan: "Plan") -> Iterator[Wildcards]:
    """Yield the figures of each sweep."""
    for name, figures in plan.sweep_figures.items():
        for figure in figures:
            yield {"sweep": name, "figure": figure}


def initial_network(plan: "Plan", wildcards: Wildcards) -> ArtefactRef | None:
    """Return the network whose weights a run starts from, if it does not start afresh."""
    run = _network(plan, wildcards).init_from
    return ("train.model", {**wildcards, "run": run}) if run else None


def sampled_network(plan: "Plan", wildcards: Wildcards) -> ArtefactRef:
    """Return the weights that a sample set is drawn from: the trained ones, or a post-hoc EMA."""
    width = _sample_set(plan, wildcards).ema_sigma_rel
    if width is None:
        return "train.model", wildcards
    return "ema.output", {**wildcards, "sigma_rel": width}


def guide_network(plan: "Plan", wildcards: Wildcards) -> ArtefactRef | None:
    """Return the other network that guides a sample set (autoguidance), if one does."""
    guide = _sample_set(plan, wildcards).guide_run
    return ("train.model", {**wildcards, "run": guide}) if guide else None


def probe_training_images(plan: "Plan", wildcards: Wildcards) -> ArtefactRef:
    """Return the labelled images that the probe's classifiers are trained on."""
    balanced = plan.probe_train_on == "balanced"
    return ("prepare.reference" if balanced else "prepare.train"), wildcards


def metric_inputs(features: str, neighbours: str) -> FindArtefacts:
    """Return a function that finds a metric's inputs.

    They are the artefacts `features` of each extractor that the metric accepts, or the artefact
    `neighbours` if it reads nearest neighbours.
    """

    def find(plan: "Plan", wildcards: Wildcards) -> list[ArtefactRef]:
        metric = wildcards["metric"]
        if metric in plan.axes["search"]:
            return [(neighbours, wildcards)]
        return [(features, {**wildcards, "extractor": name}) for name in plan.spaces[metric]]

    return find


def tuning_features(features: str) -> FindArtefacts:
    """Return a function that finds `features` of the extractor of the main table's first column."""

    def find(plan: "Plan", wildcards: Wildcards) -> list[ArtefactRef]:
        return [(features, {**wildcards, "extractor": plan.first_extractor})]

    return find


def tuning_scores(plan: "Plan", wildcards: Wildcards) -> ArtefactRef | None:
    """Return the scores that settings are chosen by, if they are chosen."""
    return ("tuned_tables.scores", {}) if has_tuning(plan) else None


def first_samples(plan: "Plan", wildcards: Wildcards) -> list[ArtefactRef]:
    """Return one sample set per run of the grid: the first seed, the first sample set."""
    first = {axis: plan.axes[axis][0] for axis in ("seed", "sample_set")}
    return [("sample.samples", {**wildcards, **first, "run": run}) for run in plan.axes["run"]]


def _network(plan: "Plan", wildcards: Wildcards) -> "NetworkPlan":
    return plan.networks[wildcards["dataset"], wildcards["run"]]


def _sample_set(plan: "Plan", wildcards: Wildcards) -> "SampleSetPlan":
    return _network(plan, wildcards).samples[wildcards["sample_set"]]


@dataclass(frozen=True)
class Rule:
    """One row of the table of rules."""

    jobs: ListJobs
    """Lists the wildcards of its jobs."""
    outputs: Mapping[str, str | tuple[str, ...]]
    """Its files below `results/<experiment>/`, by the rule's keywords."""
    inputs: Mapping[str, str | FindArtefacts] = field(default_factory=dict)
    """The artefacts that it reads, by keyword; a wildcard that the job leaves open means all."""
    stage: str = ""
    """The module of `ltdm.stages`, if its name is not the rule's."""
    pictures_only: bool = False
    """Whether it writes pictures, and the numbers in them, alone: no table depends on it."""
