"""Runs: what methods ask of them, methods together, and runs that start from others."""

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
from tests.helpers.stages import asked
from tests.unit.config.test_config import edited
from tests.unit.training.test_training import SPEC, data

SEPARATE = {"method": "igd", "train": {"label_dropout": 0, "class_sampling": "balanced"},
            "sample": {"guidance": 0}}  # fmt: skip


def experiment(runs, grid=None):
    config = edited("runs", runs)
    config["grid"]["run"] = grid or list(runs)
    return Experiment(config)


@pytest.mark.parametrize(
    ("runs", "where", "message"),
    [
        ({"a": {"method": "cbdm", "train": {"label_dropout": 1}, "sample": {"guidance": 0}}},
         "runs.a.train.label_dropout", "is 1, so the network is unconditional, but cbdm compares"),
        ({"a": {"method": "ccua", "train": {"label_dropout": 1}, "sample": {"guidance": 0}}},
         "runs.a.train.label_dropout", "but ccua compares what it says under different labels"),
        ({"a": {"method": "igd"}}, "runs.a.method", "set train.label_dropout to 0 in the same run"),
        ({"a": {"method": ["oclt", {"name": "igd", "mode": "shared", "peers": {"sample": 10}}]}},
         "runs.a.method.1.peers.sample", "is 10, but a class has only 9 peers"),
        ({"a": {**SEPARATE, "sample": {"guidance": 1}}}, "runs.a.sample.guidance", "needs a"),
        ({"a": {**SEPARATE, "train": {"label_dropout": 0, "batch_size": 400}}},
         "runs.a.train.batch_size",
         "each class shows 40 different images an update, but one has only"),
        ({"a": {**SEPARATE, "method": ["igd", "agc"]}}, "runs.a.method",
         "igd decides what a batch is and goes with no other method"),
        ({"a": {"method": {"name": "igd", "mode": "shared", "peers": {"sample": 10}}}},
         "runs.a.method.peers.sample", "is 10, but a class has only 9 peers"),
        ({"a": {"method": ["cbdm", "cbdm"]}}, "runs.a.method", "names a method twice"),
        ({"a": {"method": ["cbdm", {"name": "agc", "tau": 1}]}}, "runs.a.method.1.tau",
         "is an option of cbdm, not of agc"),
        ({"a": {"method": []}}, "runs.a.method", "must be a list of at least one method"),
        ({"a": {"train": {"init_from": "b"}}}, "runs.a.train.init_from", "'b' is not under `runs`"),
        ({"a": {"train": {"init_from": "a"}}}, "runs.a.train.init_from",
         "goes in a circle: a from a"),
        ({"a": {"train": {"init_from": "b"}}, "b": {"train": {"init_from": "a"}}},
         "train.init_from", "goes in a circle: a from b from a"),
        ({"a": {"train": {"lr": "x"}}, "b": {"train": {"init_from": "a"}}}, "runs.a.train.lr",
         "must be a number"),
        ({"a": {}, "b": {"network": {"ch": 16}, "train": {"init_from": "a"}}},
         "runs.b.train.init_from",
         "'a' is another kind of network: time_embedding.mlp.0.weight is (32, 8) there, (64, 16)"),
        ({"a": {"train": {"augment": "ada"}}, "b": {"train": {"init_from": "a"}}},
         "runs.b.train.init_from", "augm_embedding.weight is (32, 9) there, none here"),
        ({"a": SEPARATE, "b": {"train": {"init_from": "a"}}}, "runs.b.train.init_from",
         "what a label does is network there, input here"),
    ],
)  # fmt: skip
def test_refuses_with_the_place_and_the_way_out(runs, where, message):
    with pytest.raises(OptionError) as caught:
        experiment(runs)
    text = str(caught.value)
    assert where in text.split(": ")[0]
    assert message in text


def test_mutual_learning_on_one_class(tmp_path):
    file = tmp_path / "one.npz"
    np.savez(file, x_train=np.zeros((20, 8, 8), np.uint8), y_train=np.zeros(20, np.int64))
    config = edited("runs", {"a": {**SEPARATE, "method": {"name": "igd", "beta": 0}}})
    config["grid"]["run"] = ["a"]
    config["datasets"]["digits-lt"] = {"source": "npz", "path": str(file)}
    config["evaluate"] |= {"metrics": ["frechet"], "table_columns": ["frechet"]}
    assert Experiment(config).runs["digits-lt", "a"].objective([20]).players
    config["runs"]["a"]["method"] = "igd"
    with pytest.raises(OptionError, match=r"runs.a.method.beta: needs another class to learn from"):
        Experiment(config)


def test_methods_together_and_over_each_other():
    both = experiment({"a": {"method": ["oclt", {"name": "cbdm", "tau": 0.5}]}, "b": {}})
    run = both.runs["digits-lt", "a"]
    assert run.spec()["method"] == [{"name": "oclt"}, {"name": "cbdm", "tau": 0.5}]
    assert both.runs["digits-lt", "b"].spec()["method"] == {"name": "ddpm"}
    a, b = ({"dataset": "digits-lt", "run": name, "seed": 0} for name in "ab")
    assert request(both, "train", a)["code"] != request(both, "train", b)["code"]
    assert merge([{"method": ["oclt", "cbdm"]}, {"method": "agc"}])["method"] == {"name": "agc"}
    assert merge([{"method": "agc"}, {"method": ["oclt"]}])["method"] == ["oclt"]


def test_a_run_may_start_from_one_that_differs_in_what_is_no_weight():
    other = {"network": {"dropout": 0.3}, "train": {"label_dropout": 0}}
    runs = {"a": other, "b": {"train": {"init_from": "a"}}}
    assert len(experiment(runs, grid=["b"]).runs) == 2, "nor is it sampled from, which it could not"
    with pytest.raises(OptionError, match="guidance: needs a network"):
        experiment(runs)


FINE = {
    "ddpm": {},
    "fine": {
        "method": {"name": "cbdm", "label_distribution": "uniform"},
        "train": {"init_from": "ddpm", "steps": 8},
    },
}


def test_a_run_brings_those_that_it_starts_from():
    found = experiment(FINE, grid=["fine"])
    assert list(found.runs) == [("digits-lt", "ddpm"), ("digits-lt", "fine")]
    made = lineage(found)
    fine, ddpm = (found.layout.root / f"runs/digits-lt/{r}/seed-0" for r in ("fine", "ddpm"))
    assert made[fine / "run.json"][1:] == [ddpm / "model.safetensors"]
    assert ddpm / "model.safetensors" in made
    assert not any(ddpm / "main" in file.parents for file in made), "nothing is sampled from it"
    records = [one.record for one in expected_records(found)]
    assert ddpm / "run.json" in records and ddpm / "main/samples.json" not in records


def ltdm(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_finetuning_starts_from_the_averaged_weights(tmp_path, monkeypatch):
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
    check_records(Experiment(config), lambda file: None)
    config["runs"]["ddpm"] = {"train": {"steps": 5}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    printed = ltdm("train", "c.yaml")
    assert printed.count("model.safetensors\n") == 2, "another start is another run"


def test_an_interrupted_finetuning_goes_on_where_it_was(tmp_path, monkeypatch):
    """The start is taken once; what is resumed is the run's own state."""
    images, labels = data()
    np.savez(tmp_path / "train.npz", images=images, labels=labels)
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")
    spec = {**SPEC, "train": {**SPEC["train"], "init_from": "start"}}

    def run(name, spec, init=None):
        files = {"model": "model.safetensors", "history": "history.csv", "record": "run.json"}
        files = {k: tmp_path / name / v for k, v in files.items()}
        train.run(asked(spec), data=tmp_path / "train.npz", init=init, **files)
        return files["model"]

    start = run("start", SPEC)
    whole = run("whole", spec, start)
    step = Trainer.step

    def killed(trainer):
        if trainer.update == 7:
            raise KeyboardInterrupt
        step(trainer)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", killed)
        run("again", spec, start)
    assert (tmp_path / "again/state").exists()
    assert run("again", spec, start).read_bytes() == whole.read_bytes()
    assert whole.read_bytes() != start.read_bytes()
    other = {**spec, "network": {**SPEC["network"], "ch": 16}}
    with pytest.raises(LtdmError, match=r"start/model.safetensors holds another network than this"):
        run("other", other, start)


def test_verify_sees_that_a_run_started_from_another_network(tmp_path):
    for run, record in {"a": {"key": "1", "data": "d"}, "b": {"init": "1", "data": "d"}}.items():
        (tmp_path / run).mkdir()
        (tmp_path / run / "run.json").write_text(json.dumps(record))
    files = {
        "train.npz": {"sha256": "d"}, "a/run.json": {"from": ["train.npz"]},
        "b/run.json": {"from": ["train.npz", "a/model.safetensors"]},
    }  # fmt: skip
    assert manifest._broken_links(tmp_path, files) == []
    (tmp_path / "a/run.json").write_text(json.dumps({"key": "2", "data": "d"}))
    broken = ["b/run.json started from another a/model.safetensors"]
    assert manifest._broken_links(tmp_path, files) == broken
