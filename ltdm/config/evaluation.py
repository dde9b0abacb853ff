"""What an experiment measures: feature spaces, metrics, groups of classes, the main table."""

from dataclasses import dataclass
from typing import Any

from ltdm.metrics._base import PIXELS, check_fed, looks_up, reads, title
from ltdm.metrics._groups import KINDS, groups
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import Nested, option, suggest
from ltdm.plumbing.registry import Part, PartOption
from ltdm.training.probe import ProbeOptions


@dataclass(frozen=True)
class Evaluation:
    """What is measured and what the main table shows."""

    extractors: tuple[Part, ...] = option(
        ..., "Feature extractors; a column of the main table is shown in the first that has it.",
        parser=PartOption("extractor", many=True),
    )  # fmt: skip
    metrics: tuple[Part, ...] = option(..., "Metrics.", parser=PartOption("metric", many=True))
    groups: tuple[str, ...] = option(
        ("all", "class", "thirds", "worst"),
        "Groups of classes that each metric is given for.", choices=KINDS,
    )  # fmt: skip
    shot_bounds: tuple[int, ...] = option(
        (100, 20),
        "The group `shots` takes classes of more than the first number of training images as"
        " many-shot, of fewer than the second as few-shot.", low=0,
    )  # fmt: skip
    table_columns: tuple[str, ...] = option(
        ("frechet", "frechet@head", "frechet@tail", "frechet@worst"),
        "Columns of the main table: `metric` or `metric@group`.",
    )
    baseline: str | None = option(
        None, "The run that differences are taken from; by default the grid's first."
    )
    probe: ProbeOptions | None = option(
        None,
        "The linear probe: how well linear classifiers of a network's features tell the classes"
        " apart. None without it; `{}` has its defaults.",
        parser=Nested(ProbeOptions),
    )

    def __post_init__(self) -> None:
        """Refuse what shows nothing: an empty table, a metric that no extractor feeds."""
        if not self.table_columns:
            raise OptionError(("table_columns",), "must name at least one column")
        if len(self.shot_bounds) != 2 or self.shot_bounds[0] < self.shot_bounds[1]:
            raise OptionError(("shot_bounds",), "must be two numbers, the larger one first")
        for metric in self.metrics:
            check_fed(metric, self.extractors)

    def extractors_for(self, metric: Part) -> list[Part]:
        """Return the extractors that give what a metric reads."""
        return [extractor for extractor in self.extractors if reads(metric, extractor)]

    def metric(self, label: str) -> Part:
        """Return the metric of a label."""
        return next(metric for metric in self.metrics if metric.label == label)

    def spaces(self, metric: Part) -> list[str]:
        """Return the feature spaces that a metric is given in, in the config's order."""
        return (
            [PIXELS] if looks_up(metric) else [part.label for part in self.extractors_for(metric)]
        )

    @property
    def neighbour_metrics(self) -> list[Part]:
        """The metrics that read the nearest training images."""
        return [metric for metric in self.metrics if looks_up(metric)]

    def extractor_of_column(self, column: str) -> str:
        """Return the feature space that a column of the main table is shown in."""
        metric = column.partition("@")[0]
        part = next(p for p in self.metrics for m in p.module.HIGHER_IS_BETTER
                    if title(p, m) == metric)  # fmt: skip
        return self.spaces(part)[0]

    def group_settings(self) -> dict[str, Any]:
        """Return what the groups depend on, the class counts apart."""
        shots = {"shots": list(self.shot_bounds)} if "shots" in self.groups else {}
        return {"kinds": [kind for kind in KINDS if kind in self.groups], **shots}

    def probe_group_settings(self) -> dict[str, Any]:
        """Return what the probe's groups of classes depend on, the class counts apart."""
        kinds = ["all", *(kind for kind in ("thirds",) if kind in self.groups), "shots"]
        return {"kinds": kinds, "shots": list(self.shot_bounds)}

    def check_neighbour_counts(self, dataset: str, class_counts: list[int]) -> None:
        """Refuse a search for more neighbours than a data set has training images."""
        most = sum(class_counts)
        for i, metric in enumerate(self.metrics):
            if looks_up(metric) and (asked := metric.options.k) > most:
                message = f"is {asked}, but {dataset} has {most} training images; lower it"
                raise OptionError(("evaluate", "metrics", str(i), "k"), message)

    def check_table(self, class_counts: list[int]) -> None:
        """Refuse columns that nothing computes on a data set."""
        metrics = {
            title(p, m): up for p in self.metrics for m, up in p.module.HIGHER_IS_BETTER.items()
        }
        known = [*groups(class_counts, self.groups, self.shot_bounds)]
        known += [group for group in self.groups if group == "worst"]
        for column in self.table_columns:
            metric, _, group = column.partition("@")
            if metric not in metrics:
                message = f"nothing computes {metric!r}; {suggest(metric, metrics)}"
            elif group == "worst" and metrics[metric] is None:
                message = f"{metric} is neither good nor bad, so it has no worst class"
            elif (group or "all") not in known:
                message = f"there is no group {group!r}; {suggest(group or 'all', known)}"
            else:
                continue
            raise OptionError(("evaluate", "table_columns"), message)
