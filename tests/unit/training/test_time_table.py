"""Time tables that released averages have moved: used as they are, wherever the network runs."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ltdm.diffusion._model import Model
from ltdm.external.checkpoint import convert, describe
from ltdm.plumbing.errors import LtdmError
from ltdm.training import setup
from ltdm.training.released import read_checkpoint
from tests.helpers.released import NETWORK, network, predict_every_label, released_state_dict

TABLE = "time_embedding.timembedding.0.weight"
CPU = torch.device("cpu")


class TableOracle(nn.Module):
    """The released embedding: a row of the table for each timestep, then the perceptron."""

    def __init__(self, table, mlp):
        super().__init__()
        self.table, self.mlp = table, mlp

    def forward(self, level):
        return self.mlp(nn.functional.embedding(level, self.table))


def oracle(net, table):
    net.time_embedding = TableOracle(table, net.time_embedding.mlp)
    return net


def averaged(table, decay=0.9999, steps=3000):
    """Average a constant table as the released codes do, in float32."""
    average = table.clone()
    for _ in range(steps):
        average = average * decay + table * (1 - decay)
    return average


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A model's file with exact `last` and drifted `ema` weights, the table, and the text."""
    folder = tmp_path_factory.mktemp("imported")
    state = released_state_dict(network(1))
    table = averaged(state[TABLE])
    content = {"net_model": state, "ema_model": {**state, TABLE: table}}
    torch.save(content, folder / "c.pt")
    released = convert(folder / "c.pt", folder / "m.safetensors", 8)
    return folder / "m.safetensors", table, describe(folder / "c.pt", released)


def test_the_network_runs_with_the_table_of_the_file(imported):
    file, table, text = imported
    formula = network(1)
    expected = predict_every_label(oracle(network(1), table), 10)
    model = Model.from_file(file, "ema", "fp32", CPU).predictors[0].net
    actual = predict_every_label(model, 10)
    assert (actual - expected).abs().max() < 1e-6
    assert (actual - predict_every_label(formula, 10)).abs().max() > 1e-5
    last = Model.from_file(file, "last", "fp32", CPU).predictors[0].net
    assert torch.equal(predict_every_label(last, 10), predict_every_label(formula, 10))
    assert "time embedding differs from the formula by up to 1.7e-04" in text
    assert "used as it is in the file" in text


def test_networks_of_the_formula_are_as_before(tmp_path):
    assert "time_embedding.table" not in network(0).state_dict()
    state = released_state_dict(network(0))
    torch.save(state, tmp_path / "c.pt")
    released = read_checkpoint(tmp_path / "c.pt")
    assert released.weights["last"].keys() == network(0).state_dict().keys()
    assert "differs from the formula" not in describe(tmp_path / "c.pt", released)
    parameters = released.num_parameters
    torch.save({**state, TABLE: averaged(state[TABLE])}, tmp_path / "c.pt")
    assert read_checkpoint(tmp_path / "c.pt").num_parameters == parameters


def make_trainer(steps=2):
    spec = {
        "network": NETWORK,
        "process": "vp",
        "method": "ddpm",
        "train": {"steps": steps, "batch_size": 4, "ema_decay": 0.5, "warmup_steps": 1},
    }
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), np.uint8)
    recipe = setup.Recipe.from_spec(spec)
    return setup.make_trainer(recipe, 0, images, np.repeat(np.arange(10), 2), CPU)


def test_finetuning_keeps_the_table_also_when_it_resumes(imported):
    file, table, _ = imported
    trainer = make_trainer()
    setup.init_trainer(trainer, file)
    trainer.step()
    resumed = make_trainer()
    resumed.resume(trainer.state())
    resumed.step()
    for weights in (resumed.net.state_dict(), resumed.ema.state_dict()):
        assert torch.equal(weights["time_embedding.table"], table)
    trained = oracle(network(1), table)
    trained.load_state_dict(resumed.net.state_dict(), strict=False)
    x, level = torch.zeros(2, 1, 8, 8), torch.tensor([10, 990])
    resumed.net.eval()
    F, expected = (n(x, level, torch.tensor([0, 1])) for n in (resumed.net, trained))
    assert (F - expected).abs().max() < 1e-6
    trainer.init_from(network(2).state_dict())
    assert trainer.net.time_embedding.table is None, "the weights' table, not the one before"


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        (lambda t: t, False),
        (lambda t: t * (1 + 1e-7), False),
        (lambda t: averaged(t, steps=300), True),
        (lambda t: averaged(t, decay=0.99999, steps=3000), True),
        (lambda t: t * (1 - 1.4e-3), True),
    ],
)
def test_tables_near_the_formula_are_read(tmp_path, change, is_kept):
    state = released_state_dict(network(0))
    torch.save({**state, TABLE: change(state[TABLE])}, tmp_path / "c.pt")
    weights = read_checkpoint(tmp_path / "c.pt").weights["last"]
    assert ("time_embedding.table" in weights) == is_kept
    if is_kept:
        assert torch.equal(weights["time_embedding.table"], change(state[TABLE]))


@pytest.mark.parametrize(
    "change", [lambda t: 0.98 * t, lambda t: t.flip(0), lambda t: t * math.nan, lambda t: -t]
)
def test_other_embeddings_are_refused(tmp_path, change):
    state = released_state_dict(network(0))
    torch.save({**state, TABLE: change(state[TABLE])}, tmp_path / "c.pt")
    with pytest.raises(LtdmError, match=r"c\.pt: its state dict uses a different time embedding"):
        read_checkpoint(tmp_path / "c.pt")
