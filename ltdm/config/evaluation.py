"""The evaluation of an experiment: extractors, metrics, groups of classes, and the main table."""

from dataclasses import dataclass
from typing import Any

from ltdm.metrics._base import PIXELS, accepts, check_inputs, uses_neighbours, value_name
from ltdm.metrics._groups import KINDS, groups
from ltdm.metrics._halves import TOO_SMALL
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import Nested, option, suggest
from ltdm.plumbing.registry import Part, PartOption
from ltdm.plumbing.renamed import new_column
from ltdm.reporting.columns import BASELINE, parse_column
from ltdm.reporting.headings import higher_is_better
from ltdm.training.probe import ProbeOptions


@dataclass(frozen=True)
class Evaluation:
    """Options of `evaluate`: what is measured, and what the main table shows."""

    extractors: tuple[Part, ...] = option(
        ...,
        "Feature extractors. A column of the main table uses the first extractor that provides its"
        " metric, or the one that the metric names.",
        parser=PartOption("extractor", many=True),
    )
    metrics: tuple[Part, ...] = option(
        ...,
        "Metrics, each computed with every extractor that provides what it needs, or only with the"
        " one that it names: `{name: precision-recall, extractor: vgg16}`.",
        parser=PartOption("metric", many=True),
    )
    groups: tuple[str, ...] = option(
        ("all", "class", "thirds", "worst"),
        "Groups of classes for which each metric is computed: all classes together (`all`), each"
        " class (`class`), head, medium and tail as thirds of the classes by training frequency"
        " (`thirds`), many-, medium- and few-shot classes by `shot_bounds` (`shots`), and the class"
        " with the worst value (`worst`).",
        choices=KINDS,
    )
    shot_bounds: tuple[int, ...] = option(
        (100, 20),
        "Bounds of `shots` in training images per class: a class with more than the first is"
        " many-shot, with fewer than the second few-shot, and otherwise medium-shot.",
        low=0,
    )
    table_columns: tuple[str, ...] = option(
        ("frechet", "frechet@head", "frechet@tail", "frechet@worst"),
        "Columns of the main table: `metric` over all classes, or `metric@group`. For"
        " `memorized-*`, `:baseline` adds the value of real images outside the training set.",
    )
    tuning_half: bool = option(
        False,
        "Split the reference into two halves. Tables have the scores against the one, and for each"
        " run `tuned` has the sample set, such as a guidance weight, that is best against the"
        " other by the first column. Scores that do not compare with real images, such as"
        " `accuracy`, are as before.",
    )
    baseline: str | None = option(
        None,
        "Run with which the others are compared, by paired differences; by default the grid's"
        " first.",
    )
    probe: ProbeOptions | None = option(
        None,
        "Linear probe: the accuracy of linear classifiers on a network's features. By default it is"
        " not run; `{}` runs it with its default options.",
        parser=Nested(ProbeOptions),
    )

    def __post_init__(self) -> None:
        """Refuse an empty table, bounds out of order, and a metric without an extractor."""
        if not self.table_columns:
            raise OptionError(("table_columns",), "must name at least one column")
        if len(self.shot_bounds) != 2 or self.shot_bounds[0] < self.shot_bounds[1]:
            raise OptionError(("shot_bounds",), "must be two numbers, the larger one first")
        for metric in self.metrics:
            check_inputs(metric, self.extractors)

    def extractors_for(self, metric: Part) -> list[Part]:
        """Return the extractors that provide what a metric needs."""
        return [extractor for extractor in self.extractors if accepts(metric, extractor)]

    def metric(self, label: str) -> Part:
        """Return the metric with this label."""
        return next(metric for metric in self.metrics if metric.label == label)

    def spaces(self, metric: Part) -> list[str]:
        """Return the labels of the extractors with which a metric is computed, in config order.

        For a metric of nearest training images that is "pixels", whatever the extractors are.
        """
        if uses_neighbours(metric):
            return [PIXELS]
        return [part.label for part in self.extractors_for(metric)]

    @property
    def neighbour_metrics(self) -> list[Part]:
        """The metrics that read the nearest training images."""
        return [metric for metric in self.metrics if uses_neighbours(metric)]

    def metric_of_column(self, column: str) -> Part:
        """Return the metric that computes a column of the main table."""
        value = parse_column(column).metric
        values = ((part, name) for part in self.metrics for name in part.module.HIGHER_IS_BETTER)
        return next(part for part, name in values if value_name(part, name) == value)

    def extractor_of_column(self, column: str) -> str:
        """Return the label of the extractor with which a column of the main table is computed."""
        return self.spaces(self.metric_of_column(column))[0]

    def group_settings(self) -> dict[str, Any]:
        """Return the settings of the metrics' groups of classes, without the class counts."""
        shots = {"shots": list(self.shot_bounds)} if "shots" in self.groups else {}
        return {"kinds": [kind for kind in KINDS if kind in self.groups], **shots}

    def probe_group_settings(self) -> dict[str, Any]:
        """Return the settings of the probe's groups of classes, without the class counts."""
        kinds = ["all", *(kind for kind in ("thirds",) if kind in self.groups), "shots"]
        return {"kinds": kinds, "shots": list(self.shot_bounds)}

    def check_neighbour_counts(self, dataset: str, class_counts: list[int]) -> None:
        """Refuse a metric of more nearest neighbours than a data set has training images."""
        images = sum(class_counts)
        for i, metric in enumerate(self.metrics):
            if uses_neighbours(metric) and (k := metric.options.k) > images:
                message = f"is {k}, but {dataset} has {images} training images; lower it"
                raise OptionError(("evaluate", "metrics", str(i), "k"), message)

    def check_table(self, class_counts: list[int]) -> None:
        """Refuse columns whose metric or group a data set does not have."""
        metrics = {
            value_name(part, name): higher
            for part in self.metrics
            for name, higher in part.module.HIGHER_IS_BETTER.items()
        }
        with_baseline = {
            value_name(part, name)
            for part in self.metrics
            for name in getattr(part.module, "WITH_BASELINE", ())
        }
        table_groups = [*groups(class_counts, self.groups, self.shot_bounds)]
        table_groups += [group for group in self.groups if group == "worst"]
        for column in self.table_columns:
            metric, group, baseline = parse_column(column)
            new = new_column(column)
            if new and parse_column(new).metric in metrics:
                message = f"{column!r} is called {new!r} now"
            elif BASELINE in metric + group:
                last = f"{column.replace(BASELINE, '')}{BASELINE}"
                message = f"{column!r}: {BASELINE!r} comes last; write {last!r}"
            elif metric not in metrics:
                message = f"nothing computes {metric!r}; {suggest(metric, metrics)}"
            elif group == "worst" and metrics[metric] is None:
                message = f"{metric} is neither good nor bad, so it has no worst class; take it out"
            elif (group or "all") not in table_groups:
                hint = suggest(group or "all", table_groups)
                message = f"{column!r}: there is no group {group or 'all'!r}; {hint}"
            elif baseline and metric not in with_baseline:
                message = f"{metric} has no baseline; remove {BASELINE!r}"
            else:
                continue
            raise OptionError(("evaluate", "table_columns"), message)

    def check_tuning(self, class_counts: list[int]) -> None:
        """Refuse a tuning half that cannot be, or that the first column does not compare with.

        `class_counts` are the real images per class of the reference.
        """
        column = self.table_columns[0]
        compares = self.metric_of_column(column).module.INPUT == "features"
        if not compares or higher_is_better(parse_column(column).metric) is None:
            message = f"chooses by the first of table_columns, and {column} is no score against"
            message = f"{message} real images; put one such as frechet first"
            raise OptionError(("evaluate", "tuning_half"), message)
        if 1 in class_counts:
            message = f"class {class_counts.index(1)} {TOO_SMALL}; set it to false"
            raise OptionError(("evaluate", "tuning_half"), message)
