"""What each job is asked for: the one param of its rule, and what its stage's record repeats.

A function for each rule; one without is asked for nothing but its code. The key `code` is the code
that runs, `defaults` are the options that the config leaves alone, `places` says where things lie
and run, and `where` what the rows of a table are called; the last two decide no result.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ltdm.config.steps import NETWORK, SAMPLE_SET, Keys
from ltdm.plumbing.option_values import changed, defaults, places
from ltdm.plumbing.registry import Part, stage_code
from ltdm.plumbing.request import Request

if TYPE_CHECKING:
    from ltdm.config.datasets import Dataset
    from ltdm.config.experiment import Experiment
    from ltdm.config.runs import Run


Ask = Callable[["Experiment", Keys], dict[str, Any]]
ASKED: dict[str, Ask] = {}


def of(*rules: str) -> Callable[[Ask], Ask]:
    """Let a function say what the jobs of rules are asked for."""

    def register(ask: Ask) -> Ask:
        ASKED.update(dict.fromkeys(rules, ask))
        return ask

    return register


def request(e: "Experiment", rule: str, keys: Keys) -> Request:
    """Return what the job of a rule with these wildcards is asked for."""
    ask = ASKED.get(rule)
    asked = ask(e, keys) if ask else {"code": stage_code(rule)}
    where = {n: int(keys[n]) if n == "seed" else keys[n] for n in SAMPLE_SET if n in keys}
    return Request(asked, where=where)


def _run(e: "Experiment", keys: Keys) -> "Run":
    return e.runs[keys["dataset"], keys["run"]]


def _train_code(run: "Run") -> str:
    """Return the code that a network comes from: released weights, an ensemble, or training."""
    if run.train.released:
        return stage_code("released", run.network, run.process)
    stage = "ensemble" if run.train.ensemble else "single"
    return stage_code(stage, run.network, run.process, *run.methods)


def _extractor(e: "Experiment", keys: Keys) -> Part:
    return next(p for p in e.evaluate.features if p.label == keys["extractor"])


def _source(data: "Dataset", stage: str) -> dict[str, Any]:
    """Return what a stage is asked for that reads a data set's source."""
    return {
        "source": data.source.plain(),
        "content": data.census.content,
        "defaults": {"source": defaults(data.source)},
        "code": stage_code(stage, data.source),
        "places": places(data.source.options),
    }


@of("prepare")
def prepare(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """Source, long tail, and what the source holds."""
    data = e.datasets[keys["dataset"]]
    asked = _source(data, "prepare")
    asked["defaults"]["longtail"] = defaults(data.longtail)
    return {**asked, "longtail": changed(data.longtail), "reference": data.reference}


@of("extractor")
def extractor(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The extractor's options."""
    part = _extractor(e, keys)
    return {
        "extractor": part.plain(),
        "defaults": defaults(part),
        "code": stage_code("extractor", part),
        "places": places(part.options),
    }


@of("features", "reference_features")
def features(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """Nothing: the extractor's file says what it is."""
    return {"code": stage_code("features", _extractor(e, keys))}


@of("neighbours")
def neighbours(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """Which training images are found; the metric's other options rerun no search."""
    metric = e.evaluate.metric(keys["metric"])
    search = metric.module.search(metric.options)
    return {"search": search, "unseen": False, "code": stage_code("neighbours")}


@of("unseen")
def unseen(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The same of the real images that are not in the training set, as a baseline."""
    return {**neighbours(e, keys), "unseen": True}


@of("train")
def train(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The run's options and its seed."""
    run = _run(e, keys)
    return {
        "spec": run.spec(),
        "defaults": run.defaults(),
        "seed": int(keys["seed"]),
        "code": _train_code(run),
        "places": {"gpus": run.train.gpus, "checkpoint": run.train.checkpoint},
    }


@of("posthoc")
def posthoc(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The width of the average."""
    return {"sigma_rel": float(keys["sigma_rel"]), "code": stage_code("posthoc")}


@of("sample")
def sample(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The sample set's options; its seed is the network's."""
    run = _run(e, keys)
    options = run.samples[keys["sample_set"]]
    return {
        "spec": changed(options),
        "defaults": defaults(options),
        "seed": int(keys["seed"]),
        "code": stage_code("sample", run.network, run.process, options.sampler),
    }


@of("sample_shard")
def sample_shard(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The same as the whole set; and which part, counted from 0, of how many."""
    number, count = keys["scatteritem"].split("-of-")
    return {**sample(e, keys), "shard": [int(number) - 1, int(count)]}


@of("metrics")
def metrics(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The metric's options, the groups of classes, and the feature spaces."""
    metric = e.evaluate.metric(keys["metric"])
    return {
        "metric": metric.plain(),
        "defaults": defaults(metric),
        "groups": e.evaluate.grouping(),
        "extractors": e.evaluate.spaces(metric),
        "code": stage_code("metrics", metric),
    }


@of("tables")
def tables(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The columns of the main table, and the run that differences are taken from."""
    return {
        "columns": list(e.evaluate.table),
        "extractors": [part.label for part in e.evaluate.features],
        "baseline": e.evaluate.baseline or e.grid["run"][0],
        "rows": [e.grid, [metric.label for metric in e.evaluate.metrics]],
        "code": stage_code("tables"),
    }


def _first_column(e: "Experiment") -> dict[str, Any]:
    """Return what figures show: the first column of the main table."""
    column = e.evaluate.table[0]
    return {"metric": column.partition("@")[0], "extractor": e.evaluate.space_of(column)}


@of("figures")
def figures(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The metric of the first column, of the first sample set."""
    return {
        **_first_column(e),
        "sample_set": e.grid["sample_set"][0],
        "runs": e.grid["run"],
        "seeds": e.grid["seed"],
        "code": stage_code("figures"),
    }


@of("widths")
def widths(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The metric of the first column."""
    return {**_first_column(e), "code": stage_code("widths")}


@of("probe_split")
def probe_split(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The source, whose own test split is taken where it has one."""
    return _source(e.datasets[keys["dataset"]], "probe_split")


@of("probe")
def probe(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The probe's options and groups of classes."""
    run = _run(e, keys)
    return {
        "probe": changed(e.evaluate.probe),
        "defaults": defaults(e.evaluate.probe),
        "groups": e.evaluate.probe_grouping(),
        "seed": int(keys["seed"]),
        "code": stage_code("probe", run.network, run.process),
    }


@of("probe_tables")
def probe_tables(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The networks that the tables have rows of."""
    return {"rows": {n: e.grid[n] for n in NETWORK}, "code": stage_code("probe_tables")}


@of("theory")
def theory(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The sweep's options, the figures apart."""
    sweep = e.sweeps[keys["sweep"]]
    left = {name: value for name, value in defaults(sweep).items() if name != "figures"}
    code = stage_code("theory", *sweep.samplers)
    return {"spec": sweep.spec(), "defaults": left, "code": code}


@of("theory_tables")
def theory_tables(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The options of all sweeps, figures too: they say what a claim is read from."""
    specs = {name: changed(sweep) for name, sweep in e.sweeps.items()}
    return {"specs": specs, "code": stage_code("theory_tables")}


@of("theory_figure")
def theory_figure(e: "Experiment", keys: Keys) -> dict[str, Any]:
    """The sweep's options, and which of its figures."""
    return {
        "spec": e.sweeps[keys["sweep"]].spec(),
        "sweep": keys["sweep"],
        "figure": keys["figure"],
        "code": stage_code("theory_figure"),
    }
