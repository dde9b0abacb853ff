"""The plan of an experiment: what the rules of the workflow ask of it, as plain data.

A saved plan serves jobs and later runs, which then start without the checks of the config and
without PyTorch (pipeline/saved_plan.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ltdm.config.requests import request
from ltdm.plumbing.request import Request

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment
    from ltdm.config.runs import Run


class SampleSetPlan(NamedTuple):
    """What decides the inputs of a sample set, and which figures show it."""

    ema_sigma_rel: float | None
    guide_run: str | None
    guidance: float


class NetworkPlan(NamedTuple):
    """A run on one data set, with its sample sets by name."""

    init_from: str | None
    gpus: int
    ema_widths: list[float]
    """Of post-hoc EMA, sigma_rel, without repeats."""
    samples: Mapping[str, SampleSetPlan]


@dataclass(frozen=True)
class Plan:
    """The jobs of an experiment, and what their files, threads and GPUs depend on."""

    root: Path
    """The folder of the experiment's results."""
    axes: Mapping[str, list[Any]]
    """Values of each wildcard: the grid's, extractors, metrics, `search` (the metrics that read
    nearest neighbours), sweeps, tables and their file formats."""
    sets_of_run: Mapping[str, list[str]]
    networks: Mapping[tuple[str, str], NetworkPlan]
    """By data set and run; one that others start from comes before them, in the grid or not."""
    spaces: Mapping[str, list[str]]
    """By metric, the extractors with which it is computed; "pixels" alone for a search."""
    feature_dims: Mapping[str, Mapping[str, int]]
    """By data set and extractor; those of `pixels` too, whether or not it is an extractor."""
    gpu_extractors: list[str]
    """The extractors that a GPU makes faster."""
    first_extractor: str
    """The extractor of the main table's first column."""
    tuning_half: bool
    probe_train_on: str | None
    """The images that the linear probe is trained on; None without a probe."""
    sweep_figures: Mapping[str, list[str]]
    request: Callable[[str, Mapping[str, Any]], Request]
    """Returns the request of a rule's job with these wildcards."""


def make_plan(experiment: "Experiment") -> Plan:
    """Return the plan of a checked experiment."""
    evaluate, sweeps = experiment.evaluate, experiment.sweeps
    parts = {
        "extractor": evaluate.extractors,
        "metric": evaluate.metrics,
        "search": evaluate.neighbour_metrics,
    }
    return Plan(
        root=experiment.layout.root,
        axes={
            **experiment.grid,
            **{axis: [part.label for part in values] for axis, values in parts.items()},
            "sweep": [*sweeps],
            "table": ["main", "vs_baseline"],
            "form": ["csv", "md", "tex"],
        },
        sets_of_run={run: [*sets] for run, sets in experiment.sets_of_run.items()},
        networks={key: _network_plan(run) for key, run in experiment.runs.items()},
        spaces={part.label: evaluate.spaces(part) for part in evaluate.metrics},
        feature_dims={name: _feature_dims(experiment, name) for name in experiment.datasets},
        gpu_extractors=[part.label for part in evaluate.extractors if part.module.USES_GPU],
        first_extractor=evaluate.extractor_of_column(evaluate.table_columns[0]),
        tuning_half=evaluate.tuning_half,
        probe_train_on=evaluate.probe.train_on if evaluate.probe else None,
        sweep_figures={name: [*sweep.figures] for name, sweep in sweeps.items()},
        request=lambda rule, wildcards: request(experiment, rule, wildcards),
    )


def _network_plan(run: "Run") -> NetworkPlan:
    samples = {
        name: SampleSetPlan(options.ema_sigma_rel, options.guide_run, options.guidance)
        for name, options in run.samples.items()
    }
    return NetworkPlan(run.train.init_from, run.train.gpus, run.ema_widths, samples)


def _feature_dims(experiment: "Experiment", dataset: str) -> dict[str, int]:
    info = experiment.datasets[dataset].info
    dims = {
        part.label: part.module.feature_dim(part.options, info.channels, info.resolution)
        for part in experiment.evaluate.extractors
    }
    return {"pixels": info.channels * info.resolution**2, **dims}
