"""What each job is asked for: the one param of its rule, and what its stage's record repeats.

A method for each rule; one without is asked for nothing but its code. The key `code` is the code
that runs, `defaults` are the options that the config leaves alone, `places` says where things lie
and run, and `where` what the rows of a table are called; the last two decide no result.
"""

from typing import TYPE_CHECKING, Any

from ltdm.config.layout import RULES
from ltdm.config.rules import NETWORK, SAMPLE_SET, Wildcards
from ltdm.plumbing.option_values import changed, defaults, places
from ltdm.plumbing.registry import Part, stage_code
from ltdm.plumbing.request import Request

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment
    from ltdm.config.runs import Run

Fields = dict[str, Any]


def request(experiment: "Experiment", rule: str, wildcards: Wildcards) -> Request:
    """Return what the job of a rule with these wildcards is asked for."""
    ask = getattr(_Job(experiment, wildcards), rule, None)
    asked: Fields = ask() if ask else {}
    if "code" not in asked:
        asked["code"] = stage_code(RULES[rule].stage or rule)
    where = {
        n: int(wildcards[n]) if n == "seed" else wildcards[n] for n in SAMPLE_SET if n in wildcards
    }
    return Request(asked, where=where)


class _Job:
    """What a job is asked for: a method a rule, which names the code if that is not its stage's."""

    def __init__(self, experiment: "Experiment", wildcards: Wildcards):
        self._experiment, self._wildcards = experiment, wildcards

    @property
    def _run(self) -> "Run":
        return self._experiment.runs[self._wildcards["dataset"], self._wildcards["run"]]

    @property
    def _extractor(self) -> Part:
        return next(
            p
            for p in self._experiment.evaluate.extractors
            if p.label == self._wildcards["extractor"]
        )

    @property
    def _metric(self) -> Part:
        return self._experiment.evaluate.metric(self._wildcards["metric"])

    def _source(self, stage: str) -> Fields:
        """Return what a stage is asked for that reads a data set's source."""
        data = self._experiment.datasets[self._wildcards["dataset"]]
        source = data.source
        return {
            "source": source.plain(),
            "content": data.census.content,
            "defaults": {"source": defaults(source)},
            "code": stage_code(stage, source),
            "places": places(source.options),
        }

    def prepare(self) -> Fields:
        """Source, long tail, and what the source holds."""
        data, asked = self._experiment.datasets[self._wildcards["dataset"]], self._source("prepare")
        asked["defaults"]["longtail"] = defaults(data.longtail)
        shape = {"longtail": changed(data.longtail), "reference_split": data.reference_split}
        return {**asked, **shape}

    def extractor(self) -> Fields:
        """The extractor's options."""
        part = self._extractor
        return {
            "extractor": part.plain(),
            "defaults": defaults(part),
            "code": stage_code("extractor", part),
            "places": places(part.options),
        }

    def features(self) -> Fields:
        """Nothing but code: the extractor's file says what it is."""
        return {"code": stage_code("features", self._extractor)}

    reference_features = features

    def neighbours(self) -> Fields:
        """Which training images are found; the metric's other options rerun no search."""
        return {"search": self._metric.module.search(self._metric.options), "unseen": False}

    def unseen_neighbours(self) -> Fields:
        """The same of the real images that are not in the training set, as a baseline."""
        return {**self.neighbours(), "unseen": True}

    def train(self) -> Fields:
        """The run's options and its seed; released weights and ensembles have code of their own."""
        run = self._run
        stage = "ensemble" if run.train.ensemble else "single"
        stage, methods = ("released", ()) if run.train.released else (stage, run.methods)
        return {
            "spec": run.spec(),
            "defaults": run.defaults(),
            "seed": int(self._wildcards["seed"]),
            "code": stage_code(stage, run.network, run.process, *methods),
            "places": {"gpus": run.train.gpus, "checkpoint": run.train.import_checkpoint},
        }

    def ema(self) -> Fields:
        """The width of the average."""
        return {"sigma_rel": float(self._wildcards["sigma_rel"])}

    def sample(self) -> Fields:
        """The sample set's options; its seed is the network's."""
        run = self._run
        options = run.samples[self._wildcards["sample_set"]]
        return {
            "spec": changed(options),
            "defaults": defaults(options),
            "seed": int(self._wildcards["seed"]),
            "code": stage_code("sample", run.network, run.process, options.sampler),
        }

    def sample_shard(self) -> Fields:
        """The same as the whole set; and which part, counted from 0, of how many."""
        number, count = self._wildcards["scatteritem"].split("-of-")
        return {**self.sample(), "shard": [int(number) - 1, int(count)]}

    def metrics(self) -> Fields:
        """The metric's options, the groups of classes, and the feature spaces."""
        metric, evaluate = self._metric, self._experiment.evaluate
        return {
            "metric": metric.plain(),
            "defaults": defaults(metric),
            "groups": evaluate.grouping(),
            "extractors": evaluate.spaces(metric),
            "code": stage_code("metrics", metric),
        }

    def tables(self) -> Fields:
        """The columns of the main table, and the run that differences are taken from."""
        grid, evaluate = self._experiment.grid, self._experiment.evaluate
        return {
            "columns": list(evaluate.table_columns),
            "extractors": [part.label for part in evaluate.extractors],
            "baseline": evaluate.baseline or grid["run"][0],
            "rows": [grid, [metric.label for metric in evaluate.metrics]],
        }

    def ema_width_figure(self) -> Fields:
        """The metric of the main table's first column."""
        column = self._experiment.evaluate.table_columns[0]
        extractor = self._experiment.evaluate.space_of(column)
        return {"metric": column.partition("@")[0], "extractor": extractor}

    def figures(self) -> Fields:
        """The metric of the first column, of the first sample set."""
        grid = self._experiment.grid
        shown = {"sample_set": grid["sample_set"][0], "runs": grid["run"], "seeds": grid["seed"]}
        return {**self.ema_width_figure(), **shown}

    def probe_split(self) -> Fields:
        """The source, whose own test split is taken where it has one."""
        return self._source("probe_split")

    def probe(self) -> Fields:
        """The probe's options and groups of classes."""
        run, evaluate = self._run, self._experiment.evaluate
        return {
            "probe": changed(evaluate.probe),
            "defaults": defaults(evaluate.probe),
            "groups": evaluate.probe_grouping(),
            "seed": int(self._wildcards["seed"]),
            "code": stage_code("probe", run.network, run.process),
        }

    def probe_tables(self) -> Fields:
        """The networks that the tables have rows of."""
        return {"rows": {axis: self._experiment.grid[axis] for axis in NETWORK}}

    def theory(self) -> Fields:
        """The sweep's options, the figures apart."""
        sweep = self._experiment.sweeps[self._wildcards["sweep"]]
        left = {name: value for name, value in defaults(sweep).items() if name != "figures"}
        code = stage_code("theory", *sweep.samplers)
        return {"spec": sweep.spec(), "defaults": left, "code": code}

    def theory_tables(self) -> Fields:
        """The options of all sweeps, figures too: they say what a claim is read from."""
        return {"specs": {name: changed(sweep) for name, sweep in self._experiment.sweeps.items()}}

    def theory_figure(self) -> Fields:
        """The sweep's options, and which of its figures."""
        sweep, figure = self._wildcards["sweep"], self._wildcards["figure"]
        return {"spec": self._experiment.sweeps[sweep].spec(), "sweep": sweep, "figure": figure}
