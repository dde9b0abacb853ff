"""Iterative ensemble training: shards, averages and rounds."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from ltdm.core.weights import read_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.stages import ensemble, train
from ltdm.training import loop
from ltdm.training.ensemble import shard_rows, weighted_mean
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.live import images
from tests.helpers.stages import make_request, network_files
from tests.helpers.training import SPEC, data

__all__ = ["images"]
pytestmark = pytest.mark.slow


def spec(method="cbdm", steps=12, log_every=3, **iet):
    train = {**SPEC["train"], "steps": steps, "log_every": log_every}
    return {**SPEC, "method": method, "train": {**train, **({"ensemble": iet} if iet else {})}}


def train_in(folder, spec, images, init=None):
    train.run(make_request(spec, 5), data=images, init=init, **network_files(folder))
    return read_weights(folder / "model.safetensors")


def assert_same(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(v, other[0][k]) for k, v in one[0].items())


@pytest.mark.parametrize(
    "method", ["cbdm", {"name": "igd", "peers": {"sample": 1}}, {"name": "igd", "mode": "released"}]
)
def test_one_shard_equals_plain_training_to_the_bit(method, images, tmp_path):
    """In three rounds, two of which end at steps without a row of the history."""
    plain, one_shard = spec(method, steps=6), spec(method, steps=6, shards=1, rounds=3)
    for run in (plain, one_shard) if method != "cbdm" else ():
        run["train"] |= {"batch_size": 3, "label_dropout": 0.0}
    assert_same(
        train_in(tmp_path / "plain", plain, images),
        train_in(tmp_path / "one_shard", one_shard, images),
    )


def test_rounds_of_epochs_against_trainers_averaged_by_hand(images, tmp_path):
    run = spec("agc", shards=3, rounds=2, epochs=2)  # 13 or 14 images per shard, 8 per step
    weights, _ = train_in(tmp_path, run, images)
    pixels, labels = data()
    trainers = []
    for k, rows in enumerate(shard_rows(labels, 3)):
        trainer = make_trainer(Recipe.from_spec(run), 5, pixels, labels, torch.device("cpu"))
        trainer.switch_shard(rows, ensemble.shard_seed(5, k), 2)
        trainers.append((len(rows), trainer))
    for number in (1, 2):
        for _, trainer in trainers:
            trainer.last_step = 2 * number
            trainer.fit(lambda state: None)
        net = weighted_mean((n, trainer.net.state_dict()) for n, trainer in trainers)
        ema = weighted_mean((n, trainer.ema.state_dict()) for n, trainer in trainers)
        for _, trainer in trainers:
            trainer.load_weights(net, ema)
    assert all(torch.equal(weights[f"last.{k}"], v) for k, v in net.items())
    assert all(torch.equal(weights[f"ema.{k}"], v) for k, v in ema.items())
    banks = [trainer.method.state_dict()["remembered.0.bank"] for _, trainer in trainers]
    assert not torch.equal(banks[0], banks[1]), "a method's state stays with its shard"
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["shards"] == [14, 13, 13]
    assert record["steps"] == 12
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["shard"].tolist() == [0, 1, 2] * 3
    assert history["step"].tolist() == np.repeat([6, 9, 12], 3).tolist(), "rounds end with a row"


class Killed(Exception):
    """Simulates a kill by the operating system."""


@pytest.mark.parametrize("method", [["cbdm", "agc"], {"name": "igd", "mode": "released"}])
def test_interrupted_anywhere_equals_uninterrupted(method, images, tmp_path, monkeypatch):
    """Within a round, between shards and between rounds: after every training step."""
    run = spec(method, steps=12, log_every=1, shards=3, rounds=2)
    run["train"]["batch_size"] = 3  # the rarest class has one image in each shard
    uninterrupted = train_in(tmp_path / "whole", run, images)
    step, steps_left = loop.Trainer.step, [0]

    def mortal(trainer):
        if steps_left[0] == 0:
            raise Killed
        steps_left[0] -= 1
        step(trainer)

    monkeypatch.setattr(loop.Trainer, "step", mortal)
    for steps in (1, 3):
        folder, times = tmp_path / str(steps), 0
        while not (folder / "model.safetensors").exists():
            steps_left[0], times = steps, times + 1
            assert times < 40, "it makes no progress"
            try:
                resumed = train_in(folder, run, images)
            except Killed:
                states = list((folder / "state").rglob("*.pt"))
                assert len(states) <= 3 + 2, "old rounds are removed"
        assert_same(uninterrupted, resumed)
        history = [(tmp_path / f / "history.csv").read_bytes() for f in ("whole", str(steps))]
        assert history[0] == history[1]
        assert not (folder / "state").exists()


def test_a_damaged_shard_is_refused(images, tmp_path, monkeypatch):
    def killed(*_):
        raise Killed

    monkeypatch.setattr(ensemble.EnsembleTrainer, "average", killed)
    with pytest.raises(Killed):
        train_in(tmp_path, spec(shards=2, rounds=2), images)
    monkeypatch.undo()
    (file,) = (tmp_path / "state").rglob("round-1-shard-1.pt")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(LtdmError, match=r"round-1-shard-1\.pt is damaged"):
        train_in(tmp_path, spec(shards=2, rounds=2), images)


def test_an_ensemble_starts_from_another_run(images, tmp_path):
    train_in(tmp_path / "start", spec("ddpm"), images)
    init = tmp_path / "start/model.safetensors"
    still = spec("ddpm", shards=2, rounds=1)
    still["train"] |= {"warmup_steps": 10**9}  # a learning rate near 0: the weights hardly move
    weights, _ = train_in(tmp_path / "iet", still, images, init=init)
    initial, _ = read_weights(init, "ema.")
    for name, value in initial.items():
        torch.testing.assert_close(weights[f"last.{name}"], value, atol=1e-5, rtol=0)
    assert json.loads((tmp_path / "iet/run.json").read_text())["init"]
