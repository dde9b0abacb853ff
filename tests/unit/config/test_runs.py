"""Runs: options that do not fit together, methods used together, and starting from other runs."""

import json

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from ltdm.cli.main import main
from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge
from ltdm.config.requests import request
from ltdm.core.weights import read_weights
from ltdm.pipeline.lineage import lineage
from ltdm.pipeline.records import check_records, expected_records
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.stages import manifest, train
from ltdm.training.loop import Trainer
from tests.helpers.smoke_config import check_refused, edited
from tests.helpers.stages import make_request
from tests.helpers.training import SPEC, data

SEPARATE = {
    "method": "igd",
    "train": {"label_dropout": 0, "class_sampling": "balanced"},
    "sample": {"guidance": 0},
}


def config(runs, grid=None):
    """Return the smoke config with other runs, all of them in its grid by default."""
    result = edited("runs", runs)
    result["grid"]["run"] = grid or list(runs)
    return result


def experiment(runs, grid=None):
    return Experiment(config(runs, grid))


def run_a(**sections):
    """Return the config's runs with one run called `a`."""
    return {"a": sections}


UNCONDITIONAL = {"train": {"label_dropout": 1}, "sample": {"guidance": 0}}
SHARED = {"name": "igd", "mode": "shared", "peers": {"sample": 10}}
BIG_BATCH = {**SEPARATE, "train": {"label_dropout": 0, "batch_size": 400}}


@pytest.mark.parametrize(
    ("runs", "place", "word"),
    [
        (
            run_a(method="cbdm", **UNCONDITIONAL),
            "a.train.label_dropout",
            "the loss of cbdm needs labels",
        ),
        (
            run_a(method="ccua", **UNCONDITIONAL),
            "a.train.label_dropout",
            "the loss of ccua needs labels",
        ),
        (run_a(method="coral", **UNCONDITIONAL), "a.train.label_dropout", "of coral needs labels"),
        (run_a(method="igd"), "a.method", "set train.label_dropout to 0 in the same run"),
        (run_a(method=["oclt", SHARED]), "a.method.1.peers.sample", "is 10, but"),
        (run_a(method=SHARED), "a.method.peers.sample", "is 10, but a class has only 9 peers"),
        (run_a(**{**SEPARATE, "sample": {"guidance": 1}}), "a.sample.guidance", "needs a"),
        (run_a(**BIG_BATCH), "a.train.batch_size", "40 different images"),
        (run_a(**{**SEPARATE, "method": ["igd", "agc"]}), "a.method", "no other method"),
        (run_a(method=["cbdm", "cbdm"]), "a.method", "names a method twice"),
        (run_a(method=["cbdm", {"name": "agc", "tau": 1}]), "a.method.1.tau", "cbdm, not of agc"),
        (run_a(method={"name": "cm", "masks": "shared"}), "a.method", "this network has none"),
        (
            run_a(sample={"plain": True}),
            "a.sample.plain",
            "or the whole sample set by the run's omit_sample_sets",
        ),
        (run_a(method=[]), "a.method", "must be a list of at least one method"),
    ],
)
def test_a_run_whose_options_do_not_fit_together_is_refused(runs, place, word):
    check_refused(config(runs), f"runs.{place}", word)


def start_from(name, **sections):
    """Return a run that starts from another one."""
    return {**sections, "train": {"init_from": name}}


@pytest.mark.parametrize(
    ("runs", "place", "word"),
    [
        ({"a": start_from("b")}, "a", "'b' is not under `runs`"),
        ({"a": start_from("a")}, "a", "goes in a circle: a from a"),
        ({"a": start_from("b"), "b": start_from("a")}, "", "goes in a circle: a from b from a"),
        ({"a": {}, "b": start_from("a", network={"ch": 16})}, "b", "(32, 8) there, but (64, 16)"),
        ({"a": {"train": {"augment": "ada"}}, "b": start_from("a")}, "b", "(32, 9) there, but no"),
        ({"a": SEPARATE, "b": start_from("a")}, "b", "the use of labels is network there, but inp"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(runs, place, word):
    check_refused(config(runs), f"{place}.train.init_from", word)


def test_an_error_of_a_run_to_start_from_names_that_run():
    check_refused(
        config({"a": {"train": {"lr": "x"}}, "b": start_from("a")}),
        "runs.a.train.lr",
        "must be a number",
    )


def test_mutual_learning_on_one_class(tmp_path):
    file = tmp_path / "one.npz"
    np.savez(file, x_train=np.zeros((20, 8, 8), np.uint8), y_train=np.zeros(20, np.int64))
    config = edited("runs", {"a": {**SEPARATE, "method": {"name": "igd", "beta": 0}}})
    config["grid"]["run"] = ["a"]
    config["datasets"]["digits-lt"] = {"source": "npz", "path": str(file)}
    config["evaluate"] |= {"metrics": ["frechet"], "table_columns": ["frechet"]}
    assert Experiment(config).runs["digits-lt", "a"].objective([20]).network_per_class
    config["runs"]["a"]["method"] = "igd"
    with pytest.raises(OptionError, match=r"runs.a.method.beta: needs another class to learn from"):
        Experiment(config)


def test_methods_used_together_and_layers_over_them():
    both = experiment({"a": {"method": ["oclt", {"name": "cbdm", "tau": 0.5}]}, "b": {}})
    run = both.runs["digits-lt", "a"]
    assert run.spec()["method"] == [{"name": "oclt"}, {"name": "cbdm", "tau": 0.5}]
    assert both.runs["digits-lt", "b"].spec()["method"] == {"name": "ddpm"}
    a, b = ({"dataset": "digits-lt", "run": name, "seed": 0} for name in "ab")
    assert request(both, "train", a)["code"] != request(both, "train", b)["code"]
    assert merge([{"method": ["oclt", "cbdm"]}, {"method": "agc"}])["method"] == {"name": "agc"}
    assert merge([{"method": "agc"}, {"method": ["oclt"]}])["method"] == ["oclt"]


def test_a_run_may_start_from_one_that_differs_in_options_without_weights():
    other = {"network": {"dropout": 0.3}, "train": {"label_dropout": 0}}
    runs = {"a": other, "b": {"train": {"init_from": "a"}}}
    assert len(experiment(runs, grid=["b"]).runs) == 2, "the start is not sampled"
    with pytest.raises(OptionError, match="guidance: needs a network"):
        experiment(runs)


FINE = {
    "ddpm": {},
    "fine": {
        "method": {"name": "cbdm", "label_distribution": "uniform"},
        "train": {"init_from": "ddpm", "steps": 8},
    },
}


def test_the_run_to_start_from_is_added_outside_the_grid():
    finetuned = experiment(FINE, grid=["fine"])
    assert list(finetuned.runs) == [("digits-lt", "ddpm"), ("digits-lt", "fine")]
    parents = lineage(finetuned.plan)
    fine, ddpm = (finetuned.layout.root / f"runs/digits-lt/{r}/seed-0" for r in ("fine", "ddpm"))
    assert parents[fine / "run.json"][1:] == [ddpm / "model.safetensors"]
    assert ddpm / "model.safetensors" in parents
    assert not any(ddpm / "main" in file.parents for file in parents), "it is not sampled"
    records = [claim.record for claim in expected_records(finetuned.plan)]
    assert ddpm / "run.json" in records and ddpm / "main/samples.json" not in records


def ltdm(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_finetuning_starts_from_the_ema_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = edited("runs", FINE)
    config["grid"]["run"], config["defaults"]["train"]["warmup_steps"] = ["fine"], 1000
    config["defaults"]["train"] |= {"steps": 4, "ema_decay": 0.0, "lr": 1e-9}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    ltdm("prepare", "c.yaml")
    printed = ltdm("train", "c.yaml")
    assert printed.index("ddpm/seed-0/model") < printed.index("fine/seed-0/model")
    runs = tmp_path / "results/smoke/runs/digits-lt"
    (start, about), (end, _) = (
        read_weights(runs / f"{r}/seed-0/model.safetensors", "ema.") for r in ("ddpm", "fine")
    )
    assert all((v - end[k]).abs().max() < 1e-6 for k, v in start.items())
    record = json.loads((runs / "fine/seed-0/run.json").read_text())
    assert record["init"] == about["key"]
    assert ltdm("train", "c.yaml").count("already there") == 2
    check_records(Experiment(config).plan, lambda file: None)
    config["runs"]["ddpm"] = {"train": {"steps": 5}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    printed = ltdm("train", "c.yaml")
    assert printed.count("model.safetensors\n") == 2, "another start is another run"


def test_an_interrupted_finetuning_resumes_from_its_own_state(tmp_path, monkeypatch):
    """The start's weights are only taken when training begins."""
    images, labels = data()
    np.savez(tmp_path / "train.npz", images=images, labels=labels)
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")
    spec = {**SPEC, "train": {**SPEC["train"], "init_from": "start"}}

    def run(name, spec, init=None):
        files = {"model": "model.safetensors", "history": "history.csv", "record": "run.json"}
        files = {k: tmp_path / name / v for k, v in files.items()}
        train.run(make_request(spec), data=tmp_path / "train.npz", init=init, **files)
        return files["model"]

    start = run("start", SPEC)
    uninterrupted = run("whole", spec, start)
    step = Trainer.step

    def killed(trainer):
        if trainer.step_count == 7:
            raise KeyboardInterrupt
        step(trainer)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", killed)
        run("again", spec, start)
    assert (tmp_path / "again/state").exists()
    assert run("again", spec, start).read_bytes() == uninterrupted.read_bytes()
    assert uninterrupted.read_bytes() != start.read_bytes()
    other = {**spec, "network": {**SPEC["network"], "ch": 16}}
    with pytest.raises(LtdmError, match=r"start/model.safetensors holds another network than this"):
        run("other", other, start)


def test_verify_reports_a_run_that_started_from_another_network(tmp_path):
    for run, record in {"a": {"key": "1", "data": "d"}, "b": {"init": "1", "data": "d"}}.items():
        (tmp_path / run).mkdir()
        (tmp_path / run / "run.json").write_text(json.dumps(record))
    files = {
        "train.npz": {"sha256": "d"},
        "a/run.json": {"from": ["train.npz"]},
        "b/run.json": {"from": ["train.npz", "a/model.safetensors"]},
    }
    assert manifest._broken_links(tmp_path, files) == []
    (tmp_path / "a/run.json").write_text(json.dumps({"key": "2", "data": "d"}))
    broken = ["b/run.json started from another a/model.safetensors"]
    assert manifest._broken_links(tmp_path, files) == broken
