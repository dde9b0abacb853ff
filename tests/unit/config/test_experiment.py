"""The experiment of a config: refusals, the order of layers, and the grid."""

import pytest

from ltdm.config.artefacts import inputs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.requests import request
from tests.helpers.smoke_config import SMOKE, check_refused, edited


@pytest.mark.parametrize(
    ("path", "value", "place", "word"),
    [
        ("experimnt", "x", "experimnt", "did you mean 'experiment'?"),
        ("experiment", "../evil", "experiment", "name '../evil'"),
        ("experiment", ..., "experiment", "is missing"),
        ("run", "cbmd", "run", "'cbmd' is not in the grid; did you mean 'cbdm'?"),
        ("run", None, "run", "must name some of the grid"),
        ("run", "", "run", "must name some of the grid"),
        ("seed", [], "seed", "entries; known: 0"),
        ("seed", [7], "seed", "7 is not in the grid"),
        ("grid/run", ["ddpm", "cbmd"], "grid.run", "did you mean 'cbdm'?"),
        ("grid/run", [], "grid.run", "list with entries"),
        ("grid/run", [["ddpm"]], "grid.run", "['ddpm'] is not under `runs`"),
        ("grid/dataset", [{}], "grid.dataset", "{} is not under `datasets`"),
        ("grid/seed", [0, 0], "grid.seed", "twice"),
        ("grid/seed", ["0"], "grid.seed", "whole numbers"),
        ("grid/seeds", [0], "grid.seeds", "did you mean 'seed'?"),
        ("runs", {"../../x": {}}, "runs", "the name '../../x'"),
        ("sample_sets/..", {}, "sample_sets", "the name '..'"),
        ("sample_sets/run.json", {}, "sample_sets.run.json", "run's own file"),
    ],
)
def test_names_and_the_grid_are_refused_by_place_and_fault(path, value, place, word):
    check_refused(edited(path, value), place, word)


@pytest.mark.parametrize(
    ("path", "value", "place", "word"),
    [
        ("defaults/train", 3, "defaults.train", "must be a mapping"),
        ("defaults/train/class_sampling", "powr", "train.class_sampling", "must be natural"),
        ("defaults/train/class_sampling", {"pow": 1}, "train.class_sampling", "'power'"),
        ("defaults/train/class_sampling", {"brs": 0}, "class_sampling.brs", "above 0"),
        ("defaults/train/class_sampling", {"brs": "0.1"}, "class_sampling.brs", "a number"),
        ("defaults/train/class_sampling", {"power": 11}, "class_sampling.power", "between"),
        ("defaults/train/class_sampling", {"released": True}, "class_sampling", "{brs: f, rel"),
        ("defaults/train/class_sampling", {"brs": 0.1, "x": 1}, "class_sampling", "{brs: f, rel"),
        ("defaults/train/class_sampling", {"power": 1, "released": True}, "released", "not with p"),
        ("defaults/train/class_sampling", {"brs": 0.1, "released": 1}, "released", "true or false"),
        ("defaults/train/lr", "2e-4", "defaults.train.lr", "without quotes"),
        ("defaults/train/lr", 10**400, "defaults.train.lr", "finite number"),
        ("defaults/train/lr", float("inf"), "defaults.train.lr", "finite number"),
        ("defaults/train/lr", "1e400", "defaults.train.lr", "must be a number, not '1e400'"),
        ("defaults/train/batch_size", 10_000, "defaults.train.batch_size", "has only"),
        ("defaults/train/steps", -(10**400), "defaults.train.steps", "at least 1"),
        ("defaults/train/steps", "010", "defaults.train.steps", "(write 10)"),
        ("runs", {"ddpm": [1]}, "runs.ddpm", "must be a mapping"),
        ("runs/ddpm/method", {"tau": 1.0}, "runs.ddpm.method.tau", "of cbdm, not of ddpm, whose"),
        ("runs/cbdm/tau", 1.0, "runs.cbdm.tau", "unknown key"),
        ("runs/cbdm/method", "cbmd", "runs.cbdm.method.name", "did you mean 'cbdm'?"),
        ("runs/cbdm/method", None, "runs.cbdm.method", "is empty"),
        ("runs/cbdm/method", {"name": "cbmd"}, "runs.cbdm.method.name", "did you mean 'cbdm'?"),
        ("runs/cbdm/method", {"name": "cbdm", "tua": 1.0}, "runs.cbdm.method.tua", "'tau'"),
        ("runs/cbdm/train", {"label_dropout": 0}, "guidance", "needs a network"),
        ("runs/cbdm/process", {"beta_1": 0.5, "beta_T": 0.9}, "runs.cbdm.process.beta_T", "drowns"),
        ("runs/cbdm/process", {"T": 2}, "sampler.steps", "has only 2 levels"),
        ("runs/cbdm/network", {"ch_mult": [1] * 6}, "runs.cbdm.network.ch_mult", "it is 8"),
        ("runs/cbdm/network", {"ch": 6}, "runs.cbdm.network.ch", "multiple of norm_groups"),
        ("runs/cbdm/sample", {"num_images": 61}, "runs.cbdm.sample.num_images", "multiple of"),
        ("sample_sets/main", {"num_images": 61}, "sample_sets.main.num_images", "multiple of"),
        ("sample_sets/fast", {"stps": 1}, "sample_sets.fast.stps", "unknown key"),
        ("runs/cbdm/omit_sample_sets", ["mian"], "cbdm.omit_sample_sets", "did you mean 'main'?"),
        (
            "runs/cbdm/omit_sample_sets",
            [["main"]],
            "cbdm.omit_sample_sets",
            "['main'] is not under",
        ),
        ("runs/cbdm/omit_sample_sets", "main", "cbdm.omit_sample_sets", "must be a list of names"),
        ("runs/cbdm/omit_sample_sets", ["main"], "cbdm.omit_sample_sets", "leaves out main, the"),
        (
            "datasets/digits-lt/runs",
            {"x": {}},
            "datasets.digits-lt.runs",
            "'x' is not under `runs`",
        ),
        (
            "datasets/digits-lt/runs",
            {"cbdm": {"method": {"tua": 1}}},
            "datasets.digits-lt.runs.cbdm.method.tua",
            "did you mean 'tau'?",
        ),
    ],
)
def test_options_of_runs_are_refused_by_place_and_fault(path, value, place, word):
    check_refused(edited(path, value), place, word)


def test_later_layers_win():
    config = edited("datasets/digits-lt/train", {"lr": 2.0e-3, "warmup_steps": 7})
    config["runs"]["cbdm"]["train"] = {"warmup_steps": 9}
    config["sample_sets"] = {"main": {}, "last": {"weights": "last", "sampler": "ancestral"}}
    experiment = Experiment(config)
    ddpm, cbdm = (experiment.runs["digits-lt", run] for run in ("ddpm", "cbdm"))
    assert (ddpm.train.lr, ddpm.train.warmup_steps, cbdm.train.warmup_steps) == (2e-3, 7, 9)
    assert ddpm.samples["main"].weights == "ema"
    assert ddpm.samples["last"].weights == "last"
    assert ddpm.samples["last"].sampler.name == "ancestral"
    assert ddpm.samples["last"].sampler.options.steps == 1000


def test_a_data_set_sets_options_of_single_runs():
    config = edited("runs/cbdm", {"method": "cbdm", "sample": {"guidance": 1.6}})
    of_runs = {"cbdm": {"method": {"tau": 2.0}, "sample": {"guidance": 0.9}}}
    config["datasets"]["digits-lt"]["runs"] = of_runs
    config["datasets"]["other"] = {"source": "digits"}
    config["grid"]["dataset"] = ["digits-lt", "other"]
    config["sample_sets"] = {"main": {}, "more": {"guidance": 3.0}}
    experiment = Experiment(config)
    here, there = (experiment.runs[dataset, "cbdm"] for dataset in ("digits-lt", "other"))
    assert (here.methods[0].options.tau, there.methods[0].options.tau) == (2.0, 1.0)
    assert [here.samples[name].guidance for name in ("main", "more")] == [0.9, 3.0]
    assert there.samples["main"].guidance == 1.6
    assert experiment.runs["digits-lt", "ddpm"] == experiment.runs["other", "ddpm"]


def test_a_run_may_leave_sample_sets_out():
    config = edited("sample_sets", {"main": {}, "more": {"guidance": 3.0}, "last": {}})
    config["runs"]["cbdm"]["omit_sample_sets"] = ["more"]
    experiment = Experiment(config)
    assert [*experiment.runs["digits-lt", "cbdm"].samples] == ["main", "last"]
    assert [*experiment.runs["digits-lt", "ddpm"].samples] == ["main", "more", "last"]
    sampled = {(w["run"], w["sample_set"]) for w in RULES["sample"].jobs(experiment.plan)}
    assert len(sampled) == 5
    assert ("cbdm", "more") not in sampled
    names = [file.parts[-3] for file in inputs(experiment.plan, "tables", {})["metrics"]]
    assert (names.count("main"), names.count("more")) == (6, 3)
    check_refused({**config, "sample_set": "more"}, "runs.cbdm.omit_sample_sets", "leaves out more")
    alone = Experiment({**config, "sample_set": "more", "run": "ddpm"})
    assert [*alone.runs["digits-lt", "ddpm"].samples] == ["more"]
    rows = [request(e, "tables", {})["rows"] for e in (experiment, alone, Experiment(SMOKE))]
    assert [*map(len, rows)] == [3, 2, 2], "what existing configs request stays as it was"


def test_a_spec_does_not_depend_on_the_order_of_keys_or_on_spelled_out_defaults():
    spec = Experiment(SMOKE).runs["digits-lt", "cbdm"].spec()
    config = edited("runs/cbdm/method", {"commitment_weight": 0.25, "tau": 1, "name": "cbdm"})
    config["defaults"] = dict(reversed(config["defaults"].items()))
    config["defaults"]["train"] = dict(reversed(config["defaults"]["train"].items()))
    assert repr(Experiment(config).runs["digits-lt", "cbdm"].spec()) == repr(spec)


def test_a_part_of_the_grid_is_selected():
    for selection in (["cbdm"], "cbdm", "cbdm,cbdm"):
        assert Experiment({**SMOKE, "run": selection}).grid["run"] == ["cbdm"]
    assert Experiment({**SMOKE, "run": "cbdm, ddpm"}).grid["run"] == ["ddpm", "cbdm"]
    assert Experiment({**SMOKE, "seed": 0}).grid["seed"] == [0]
    assert list(Experiment({**SMOKE, "run": "cbdm"}).runs) == [("digits-lt", "cbdm")]
