"""Losses by group of classes in the history: a plain loop's values, and nothing else changes."""

import copy
import math

import pandas as pd
import pytest

from ltdm.core.thirds import thirds
from ltdm.methods.cbdm import CBDM
from ltdm.methods.igd import IGD
from ltdm.reporting.frames import training_frame
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.training import (
    CPU,
    METHODS,
    SPEC,
    data,
    learner_of,
    run,
    same,
    spec_of,
)

COUNTERFACTUAL = {"name": "diffrop", "form": "counterfactual", "weight": 0.5}
LOGGED = {
    "cbdm": ("cbdm", ["balance"]),
    "composed": (METHODS["composed"], ["balance", "class_contrast"]),
    "counterfactual": (COUNTERFACTUAL, ["overlap"]),
    "released": (METHODS["released"], ["mutual"]),
}


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


def trainer_with(method, **train):
    spec = {**SPEC, "method": method, "train": {**SPEC["train"], "label_dropout": 0.3, **train}}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


def test_thirds():
    assert thirds([3, 30, 7, 8]) == {"head": [1, 3], "medium": [2], "tail": [0]}
    assert thirds([5, 5]) == {"head": [0], "medium": [1]}
    assert thirds([5]) == {"head": [0]}


def record(learner):
    """Let a learner record, for each image that it trains on: step, class and losses by name."""
    images, plain = [], learner.method.loss

    def loss(net, process, draws):
        losses = plain(net, process, draws)
        for row, label in enumerate(draws.noisy.classes.tolist()):
            values = {name: each[row].item() for name, each in losses.items()}
            images.append({"step": learner.step_count, "class": label, **values})
        return losses

    learner.method.loss = loss
    return images


@pytest.mark.parametrize("name", LOGGED)
def test_a_column_is_the_mean_over_the_images_of_a_group(name, monkeypatch):
    """With an optimiser step per class too; every column, dropped labels and skipped images."""
    monkeypatch.setattr(IGD, "log_by_class_group", ("mutual",))
    method, logged = LOGGED[name]
    learner = trainer_with(method, steps=8, log_every=5)
    images = record(learner)
    run(learner)
    assert [row["step"] for row in learner.history] == [5, 8]
    groups = {"head": 0, "medium": 1, "tail": 2}
    for row, steps in zip(learner.history, [range(5), range(5, 8)], strict=True):
        window = [image for image in images if image["step"] in steps]
        for loss in logged:
            overall = math.fsum(image[loss] for image in window) / len(window)
            assert row[loss] == pytest.approx(overall, rel=1e-5)
            assert overall > 0
            for group, label in groups.items():
                values = [image[loss] for image in window if image["class"] == label]
                expected = math.fsum(values) / len(values)
                assert row[f"{loss}@{group}"] == pytest.approx(expected, rel=1e-5)
    columns = {key for key in learner.history[0] if "@" in key}
    assert columns == {f"{loss}@{group}" for loss in logged for group in groups}


@pytest.mark.parametrize("method", ["ddpm", "oclt", "ccua", "diffrop", {"name": "cbdm", "tau": 0}])
def test_other_methods_have_no_such_columns(method):
    learner = trainer_with(method, steps=3)
    run(learner)
    assert not [key for key in learner.history[0] if "@" in key]
    assert not [key for key in learner.loss_sums if "@" in key]


@pytest.mark.parametrize("name", ["cbdm", "edm2", "composed"])
def test_neither_weights_nor_other_columns_change(name, monkeypatch):
    logged = learner_of(name)
    saved = run(logged)
    monkeypatch.setattr(CBDM, "log_by_class_group", ())
    plain = learner_of(name)
    others = run(plain)
    assert same(logged, plain)
    assert len(saved) == len(others)
    for row, other in zip(logged.history, plain.history, strict=True):
        kept = {key: value for key, value in row.items() if not key.startswith("balance@")}
        assert kept == other
        assert len(kept) < len(row)
    assert "groups" not in logged.method.state_dict(), "the data have the counts"


def test_a_run_stopped_within_a_row_ends_with_the_same_row():
    whole, first = learner_of("cbdm", log_every=6), learner_of("cbdm", log_every=6)
    run(whole)
    for _ in range(4):
        first.step()
    second = learner_of("cbdm", log_every=6)
    second.resume(copy.deepcopy(first.state()))
    run(second)
    assert second.history == whole.history
    assert "balance@head" in whole.history[0]


def test_a_group_without_images_leaves_its_cell_empty(tmp_path):
    """Here in some rows, and of two classes there is no tail; readers accept the file."""
    learner = trainer_with("cbdm", steps=12, log_every=1)
    images = record(learner)
    run(learner)
    pd.DataFrame(learner.history).to_csv(tmp_path / "history.csv", index=False)
    history = pd.read_csv(tmp_path / "history.csv", dtype=float)
    for step, row in history.iterrows():
        tail = [image for image in images if image["step"] == step and image["class"] == 2]
        assert math.isnan(row["balance@tail"]) == (not tail)
    assert 0 < history["balance@tail"].isna().sum() < 12
    frame = training_frame(history.assign(run="cbdm", seed=0))
    assert frame["value"].tolist() == history["denoise"].tolist()
    pixels, labels = data()
    two = make_trainer(
        Recipe.from_spec(spec_of("cbdm")), 0, pixels[labels < 2], labels[labels < 2], CPU
    )
    run(two)
    assert {key for key in two.history[0] if "@" in key} == {"balance@head", "balance@medium"}
