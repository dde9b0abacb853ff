"""A compiled training step has one graph per network call and no graph breaks."""

import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from ltdm.networks import unet
from ltdm.networks._per_class import PerClassNetworks
from ltdm.networks._predictor import Predictor
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.training import CPU, METHODS, data, spec_of

pytestmark = pytest.mark.slow

CALLS = {
    "ddpm": 1,
    "cbdm": 1,
    "ccua": 1,
    "edm2": 1,
    "cm": 1,
    "cm-own-masks": 1,
    # Peers need no gradient, and a contrast alone needs no decoder: these are separate calls.
    "composed": 2,
    "shared": 2,
    "released": 2,
    "separate": 2,
    "edm2-separate": 2,
}


@pytest.fixture(autouse=True)
def _reset_compiler():
    """Forget earlier compilations."""
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def compiled_learner(name, monkeypatch, **train):
    """Return a learner of a tiny network that is traced but not compiled to kernels."""
    compile_network = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        lambda net, **options: compile_network(net, backend="aot_eager", **options),
    )
    spec = spec_of(name, compile=True, **train)
    spec["network"] = {**spec["network"], "ch": 4, "ch_mult": [1], "attn": [0]}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


@pytest.mark.parametrize("name", METHODS)
def test_one_graph_per_call_with_any_labels_dropped(name, monkeypatch):
    monkeypatch.setattr(
        PerClassNetworks, "forward_sequential", PerClassNetworks.forward_vmapped
    )  # as on a GPU
    dropout = {} if name.endswith("separate") else {"label_dropout": 0.4}
    learner = compiled_learner(name, monkeypatch, **dropout)
    for _ in range(15):
        learner.step()
    assert counters["stats"]["unique_graphs"] == CALLS[name]
    assert not counters["graph_break"]
    assert not counters["recompiles"]


def test_half_weights_are_cast_within_the_graph(monkeypatch):
    learner = compiled_learner("ddpm", monkeypatch, precision="bf16-master")
    for _ in range(5):
        learner.step()
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
def test_the_compiled_network_is_the_same_function():
    torch.manual_seed(0)
    options = unet.Options(
        ch=4, norm_groups=2, ch_mult=(1,), attn=(), num_res_blocks=1, dropout=0.0
    )
    net = unet.build(options, 1, 4, 3)
    x, level, labels = torch.randn(6, 1, 4, 4), torch.arange(6), torch.arange(6) % 4 - 1
    results = []
    for compiled in (False, True):
        net.zero_grad()
        F = Predictor(net, CPU, "fp32", compiled)(x, level, labels)
        F.sin().sum().backward()
        results.append((F.detach(), [p.grad.clone() for p in net.parameters()]))
    torch.testing.assert_close(*results)
