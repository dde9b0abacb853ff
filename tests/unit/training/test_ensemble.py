"""Iterative ensemble training: shards, averages and rounds."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from ltdm.core.weights import read_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_npz
from ltdm.stages import ensemble, train
from ltdm.training import loop
from ltdm.training.ensemble import shard_rows, weighted_mean
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.stages import asked, outputs
from tests.unit.training.test_training import SPEC, data

pytestmark = pytest.mark.slow


def spec(method="cbdm", steps=12, log_every=3, **iet):
    return {**SPEC, "method": method, "train": {
        **SPEC["train"], "steps": steps, "log_every": log_every,
        **({"ensemble": iet} if iet else {}),
    }}  # fmt: skip


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    pixels, labels = data()
    write_npz(tmp_path / "train.npz", images=pixels, labels=labels)
    return tmp_path / "train.npz"


def in_one_job(wanted, images, folder, init=None):
    train.run(asked(wanted, 5), data=images, init=init, **outputs(folder))
    return read_weights(folder / "model.safetensors")


def assert_same(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(v, other[0][k]) for k, v in one[0].items())


@pytest.mark.parametrize(
    "method", ["cbdm", {"name": "igd", "peers": {"sample": 1}}, {"name": "igd", "mode": "released"}]
)
def test_one_shard_is_plain_training_to_the_bit(method, images, tmp_path):
    """In three rounds, of which two end where no row of the history is due."""
    runs = [spec(method, steps=6), spec(method, steps=6, shards=1, rounds=3)]
    for one in runs if method != "cbdm" else ():
        one["train"] |= {"batch_size": 3, "label_dropout": 0.0}
    plain = in_one_job(runs[0], images, tmp_path / "plain")
    alone = in_one_job(runs[1], images, tmp_path / "alone")
    assert_same(plain, alone)


def test_epochs_and_the_end_of_each_shard_count(images, tmp_path):
    """Against the rounds written out: every shard's own trainer, averaged by hand."""
    wanted = spec("agc", shards=3, rounds=2, epochs=2)  # 13 or 14 images, 8 an update
    weights, _ = in_one_job(wanted, images, tmp_path)
    pixels, labels = data()
    teams = []
    for k, part in enumerate(shard_rows(labels, 3)):
        one = make_trainer(Recipe.from_spec(wanted), 5, pixels, labels, torch.device("cpu"))
        one.switch_shard(part, ensemble.shard_seed(5, k), 2)
        teams.append((len(part), one))
    for number in (1, 2):
        for _, one in teams:
            one.last_step = 2 * number
            one.fit(lambda state: None)
        net = weighted_mean((n, one.net.state_dict()) for n, one in teams)
        ema = weighted_mean((n, one.ema.state_dict()) for n, one in teams)
        for _, one in teams:
            one.load_weights(net, ema)
    assert all(torch.equal(weights[f"last.{k}"], v) for k, v in net.items())
    assert all(torch.equal(weights[f"ema.{k}"], v) for k, v in ema.items())
    banks = [one.method.state_dict()["remembered.0.bank"] for _, one in teams]
    assert not torch.equal(banks[0], banks[1]), "what a method remembers stays with its shard"
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["shards"] == [14, 13, 13]
    assert record["updates"] == 12
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["shard"].tolist() == [0, 1, 2] * 3
    assert history["update"].tolist() == np.repeat([6, 9, 12], 3).tolist(), "rounds end with a row"


class Killed(Exception):
    """As the operating system would."""


@pytest.mark.parametrize("method", [["cbdm", "agc"], {"name": "igd", "mode": "released"}])
def test_interrupted_anywhere_is_uninterrupted(method, images, tmp_path, monkeypatch):
    """Within a round, between shards, between rounds: after every one of the updates."""
    wanted = spec(method, steps=12, log_every=1, shards=3, rounds=2)
    wanted["train"]["batch_size"] = 3  # the rarest class has one image in each shard
    whole = in_one_job(wanted, images, tmp_path / "whole")
    step, left = loop.Trainer.step, [0]

    def mortal(trainer):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        step(trainer)

    monkeypatch.setattr(loop.Trainer, "step", mortal)
    for steps in (1, 3):
        folder, times = tmp_path / str(steps), 0
        while not (folder / "model.safetensors").exists():
            left[0], times = steps, times + 1
            assert times < 40, "it does not get on"
            try:
                resumed = in_one_job(wanted, images, folder)
            except Killed:
                largest = [f for f in (folder / "state").rglob("*") if f.suffix in (".pt",)]
                assert len(largest) <= 3 + 2, "old rounds are cleared away"
        assert_same(whole, resumed)
        history = [(tmp_path / f / "history.csv").read_bytes() for f in ("whole", str(steps))]
        assert history[0] == history[1]
        assert not (folder / "state").exists()


def test_a_damaged_shard_is_refused(images, tmp_path, monkeypatch):
    def killed(*_):
        raise Killed

    monkeypatch.setattr(ensemble.EnsembleTrainer, "average", killed)
    with pytest.raises(Killed):
        in_one_job(spec(shards=2, rounds=2), images, tmp_path)
    monkeypatch.undo()
    (file,) = (tmp_path / "state").rglob("round-1-shard-1.pt")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(LtdmError, match=r"round-1-shard-1\.pt is damaged"):
        in_one_job(spec(shards=2, rounds=2), images, tmp_path)


def test_it_may_start_from_another_run(images, tmp_path):
    in_one_job(spec("ddpm"), images, tmp_path / "start")
    init = tmp_path / "start/model.safetensors"
    still = spec("ddpm", shards=2, rounds=1)
    still["train"] |= {
        "warmup_steps": 10**9
    }  # a rate of nearly nothing: the network stays where it is
    weights, _ = in_one_job(still, images, tmp_path / "iet", init=init)
    began, _ = read_weights(init, "ema.")
    for name, value in began.items():
        torch.testing.assert_close(weights[f"last.{name}"], value, atol=1e-5, rtol=0)
    assert json.loads((tmp_path / "iet/run.json").read_text())["init"]
