"""The request of each job: the one param of its rule, which its stage's record repeats.

A job whose request has changed runs again. `_Job` has one method per rule; the request of a rule
without one holds only the code. Four keys mean the same everywhere: `code` names and digests the
code that runs; `defaults` are the options that the config leaves at their defaults; `places` says
where files lie and on how many GPUs a job runs; `where` holds the columns that identify the rows of
a table. A change of the last two reruns nothing.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ltdm.config.layout import RULES
from ltdm.config.rules import NETWORK, Wildcards, with_wildcards
from ltdm.metrics._halves import REPORTING, TUNING
from ltdm.plumbing.code_digest import digest
from ltdm.plumbing.option_values import defaults, locations, non_defaults
from ltdm.plumbing.registry import Part, stage_digest
from ltdm.plumbing.request import Request
from ltdm.reporting.columns import parse_column

if TYPE_CHECKING:
    from ltdm.config.datasets import Dataset
    from ltdm.config.experiment import Experiment
    from ltdm.config.runs import Run

Fields = dict[str, Any]


def request(experiment: "Experiment", rule: str, wildcards: Wildcards) -> Request:
    """Return the request of a rule's job with these wildcards."""
    method = getattr(_Job(experiment, wildcards), rule, None)
    fields: Fields = method() if method else {}
    if "code" not in fields:
        stage = RULES[rule].stage if rule in RULES else ""
        fields["code"] = stage_digest(stage or rule)
    return with_wildcards(fields, wildcards)


class _Job:
    """A job's request: one method per rule, with `code` if more than the stage's code counts."""

    def __init__(self, experiment: "Experiment", wildcards: Wildcards):
        self._experiment, self._wildcards = experiment, wildcards

    @property
    def _data(self) -> "Dataset":
        return self._experiment.datasets[self._wildcards["dataset"]]

    @property
    def _run(self) -> "Run":
        return self._experiment.runs[self._wildcards["dataset"], self._wildcards["run"]]

    @property
    def _seed(self) -> int:
        return int(self._wildcards["seed"])

    @property
    def _extractor(self) -> Part:
        label = self._wildcards["extractor"]
        return next(p for p in self._experiment.evaluate.extractors if p.label == label)

    @property
    def _metric(self) -> Part:
        evaluate = self._experiment.evaluate
        if "metric" in self._wildcards:
            return evaluate.metric(self._wildcards["metric"])
        return evaluate.metric_of_column(evaluate.table_columns[0])

    def _source(self, stage: str) -> Fields:
        """Return the request of a stage that reads a data set's source."""
        source = self._data.source
        return {
            "source": source.to_config(),
            "content": self._data.info.digest,
            "defaults": {"source": defaults(source)},
            "code": stage_digest(stage, source),
            "places": locations(source.options),
        }

    def prepare(self) -> Fields:
        """The source with the digest of its data, the long tail, and the split of the reference."""
        data, fields = self._data, self._source("prepare")
        fields["defaults"]["longtail"] = defaults(data.longtail)
        fields["longtail"] = non_defaults(data.longtail)
        fields["reference_split"] = data.reference_split
        return fields

    def extractor(self) -> Fields:
        """The extractor's options."""
        part = self._extractor
        return {
            "extractor": part.to_config(),
            "defaults": defaults(part),
            "code": stage_digest("extractor", part),
            "places": locations(part.options),
        }

    def features(self) -> Fields:
        """The code alone: the extractor's file holds its options."""
        return {"code": stage_digest("features", self._extractor)}

    reference_features = features

    def neighbours(self) -> Fields:
        """The options of the search; a change of the metric's other options reruns no search."""
        return {"search": self._metric.module.search(self._metric.options), "unseen": False}

    def unseen_neighbours(self) -> Fields:
        """The same for real images outside the training set, the baseline."""
        return {**self.neighbours(), "unseen": True}

    def train(self) -> Fields:
        """The run's options and seed, and the code of its kind: single, ensemble or released."""
        run = self._run
        stage = "ensemble" if run.train.ensemble else "single"
        stage, methods = ("released", ()) if run.train.released else (stage, run.methods)
        return {
            "spec": run.spec(),
            "defaults": run.defaults(),
            "seed": self._seed,
            "code": stage_digest(stage, run.network, run.process, *methods),
            "places": locations(run.train),
        }

    def ema(self) -> Fields:
        """The width of the post-hoc EMA, relative to the training's length."""
        return {"sigma_rel": float(self._wildcards["sigma_rel"])}

    def sample(self) -> Fields:
        """The sample set's options, the network's seed, and the class counts if they matter.

        A job that draws a part of it has `shard`: its index, from 0, and the number of shards.
        """
        run = self._run
        options = run.samples[self._wildcards["sample_set"]]
        counts = {"class_counts": self._data.class_counts} if options.guidance_power else {}
        return {
            **counts,
            "spec": non_defaults(options),
            "defaults": defaults(options),
            "seed": self._seed,
            "code": stage_digest("sample", run.network, run.process, options.sampler),
        }

    def sample_sheet(self) -> Fields:
        """Whether the images are a random choice."""
        return {"shuffled": False}

    def reference_sheet(self) -> Fields:
        """The same for real images, which lie in an order of their own."""
        return {"shuffled": True}

    sample_shard = sample

    def metrics(self) -> Fields:
        """The metric's options, the groups of classes, the extractors, and the half, if any."""
        metric, evaluate = self._metric, self._experiment.evaluate
        halved = evaluate.tuning_half and metric.module.INPUT == "features"
        return {
            # Its `extractor` decides no more than `extractors`, below.
            "metric": replace(metric, extractor="").to_config(),
            "defaults": defaults(metric),
            # Inside `groups`, since a key that an old record lacks would rerun nothing.
            "groups": evaluate.group_settings() | ({"half": REPORTING} if halved else {}),
            "extractors": evaluate.spaces(metric),
            "code": stage_digest("metrics", metric),
        }

    def tuning_metrics(self) -> Fields:
        """The same against the other half, for no more than the main table's first column needs."""
        evaluate = self._experiment.evaluate
        column = evaluate.table_columns[0]
        settings = evaluate.group_settings() if parse_column(column).group else {"kinds": ["all"]}
        extractors = [evaluate.extractor_of_column(column)]
        return {**self.metrics(), "groups": {**settings, "half": TUNING}, "extractors": extractors}

    def tables(self) -> Fields:
        """The columns of the main table, the extractors, and the baseline run."""
        grid, evaluate = self._experiment.grid, self._experiment.evaluate
        own = {run: self._experiment.sets_of_run[run] for run in grid["run"]}
        fewer = [[run, s] for run, s in own.items() if not {*grid["sample_set"]} <= {*s}]
        return {
            "columns": list(evaluate.table_columns),
            "extractors": [part.label for part in evaluate.extractors],
            "baseline": evaluate.baseline or grid["run"][0],
            "rows": [grid, [metric.label for metric in evaluate.metrics], *fewer],
        }

    def tuned_tables(self) -> Fields:
        """The same without the baseline."""
        return {key: value for key, value in self.tables().items() if key != "baseline"}

    def ema_width_figure(self) -> Fields:
        """The metric and the extractor of the main table's first column."""
        column = self._experiment.evaluate.table_columns[0]
        extractor = self._experiment.evaluate.extractor_of_column(column)
        return {"metric": parse_column(column).metric, "extractor": extractor}

    def guidance_figure(self) -> Fields:
        """The same metric and extractor."""
        return self.ema_width_figure()

    def figures(self) -> Fields:
        """The same metric; the tables' columns, and the baseline; all runs and seeds."""
        grid = self._experiment.grid
        tables = {k: v for k, v in self.tables().items() if k != "rows"}
        samples = {"sample_set": grid["sample_set"][0], "runs": grid["run"], "seeds": grid["seed"]}
        return {**self.ema_width_figure(), **tables, **samples}

    def page(self) -> Fields:
        """The code alone: no stage of the package writes the page."""
        return {"code": f"page: {digest('ltdm.page.document')}"}

    def probe_split(self) -> Fields:
        """The source: its own test split is used if it has one."""
        return self._source("probe_split")

    def probe(self) -> Fields:
        """The probe's options and groups of classes."""
        run, evaluate = self._run, self._experiment.evaluate
        return {
            "probe": non_defaults(evaluate.probe),
            "defaults": defaults(evaluate.probe),
            "groups": evaluate.probe_group_settings(),
            "seed": self._seed,
            "code": stage_digest("probe", run.network, run.process),
        }

    def probe_tables(self) -> Fields:
        """The networks that the tables list."""
        return {"rows": {axis: self._experiment.grid[axis] for axis in NETWORK}}

    def theory(self) -> Fields:
        """The sweep's options, except which figures it has."""
        sweep = self._experiment.sweeps[self._wildcards["sweep"]]
        unset = {name: value for name, value in defaults(sweep).items() if name != "figures"}
        code = stage_digest("theory", *sweep.samplers)
        return {"spec": sweep.spec(), "defaults": unset, "code": code}

    def theory_tables(self) -> Fields:
        """The options of all sweeps; their figures too, since the findings are read from them."""
        sweeps = self._experiment.sweeps.items()
        return {"specs": {name: non_defaults(sweep) for name, sweep in sweeps}}

    def theory_figure(self) -> Fields:
        """The sweep's options, and which figure."""
        sweep, figure = self._wildcards["sweep"], self._wildcards["figure"]
        return {"spec": self._experiment.sweeps[sweep].spec(), "sweep": sweep, "figure": figure}
