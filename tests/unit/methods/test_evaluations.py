"""Costs of all methods, alone and together: stated evaluations against a count of passes."""

from dataclasses import asdict, astuple

import pytest
import torch

from ltdm.diffusion import edm, vp
from ltdm.methods._objective import evaluations
from ltdm.networks import unet
from ltdm.networks._per_class import PerClassNetworks
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.registry import parse_part
from tests.helpers.methods import CPU, batch, generators, loss, objective

# Cost of the methods, per image: forward, backward, encoder and decoder passes.
COSTS = [
    ("ddpm", 10, (1, 1, 0, 0)),
    ("cbdm", 10, (2, 2, 0, 0)),
    ({"name": "cbdm", "commitment_weight": 0}, 10, (2, 1, 0, 0)),
    ({"name": "igd", "mode": "shared"}, 10, (10, 1, 0, 0)),
    ({"name": "igd", "mode": "shared"}, 100, (100, 1, 0, 0)),
    ({"name": "igd", "mode": "shared", "peers": {"sample": 1}}, 10, (2, 1, 0, 0)),
    ({"name": "igd", "mode": "released"}, 10, (10, 1, 0, 0)),
    ({"name": "igd", "mode": "released", "beta": 0}, 10, (1, 1, 0, 0)),
    ({"name": "igd", "mode": "separate"}, 10, (10, 1, 0, 0)),
    ({"name": "igd", "mode": "separate"}, 100, (100, 1, 0, 0)),
    ({"name": "igd", "mode": "separate", "peers": {"sample": 1}}, 10, (2, 1, 0, 0)),
    ({"name": "igd", "mode": "separate", "beta": 0}, 10, (1, 1, 0, 0)),
    ("agc", 10, (1, 1, 0, 0)),
    ("oclt", 10, (1, 1, 0, 0)),
    ("ccua", 10, (2, 2, 0, 0)),
    ({"name": "ccua", "al": 0}, 10, (1, 1, 1, 0)),
    ("coral", 10, (1, 1, 0, 0)),
    ("dispersive", 10, (1, 1, 0, 0)),
    ("diffrop", 10, (1, 1, 0, 0)),
    ({"name": "diffrop", "form": "counterfactual"}, 10, (2, 2, 0, 0)),
    ({"name": "diffrop", "form": "counterfactual", "stop_gradient": True}, 10, (2, 1, 0, 0)),
    ("cm", 10, (2, 2, 0, 0)),
    ({"name": "cm", "weight": 0}, 10, (1, 1, 0, 0)),
    ({"name": "cm", "masks": "shared"}, 10, (1, 1, 0, 1)),
]


@pytest.mark.parametrize(("method", "classes", "cost"), COSTS)
def test_evaluations_equal_a_count(method, classes, cost):
    """The predictor counts forward passes; a hook on the network's output counts backward ones."""
    full = objective(method, counts=[5] * classes)
    stated = evaluations([parse_part("method", method, ())], classes)
    assert astuple(stated) == cost
    options = unet.Options(
        ch=4, norm_groups=2, ch_mult=(1,), attn=(), num_res_blocks=1, reserve=0.1
    )
    if full.network_per_class:
        net = PerClassNetworks([unet.build(options, 1, 4, 0) for _ in range(classes)])
    else:
        net = unet.build(options, 1, 4, classes)
        full.bind(net, 0)
    predict, passes = Predictor(net, CPU, "fp32"), []
    net.register_forward_hook(lambda *args: _count_backward(args[2], passes))
    images = 500 if classes == 10 else 200
    labels = torch.arange(images) * classes // images
    if not full.network_per_class:
        labels[::10] = -1
    data = batch(labels, x0=torch.zeros(images, 1, 4, 4))
    terms = loss(full, predict, data, vp.build(vp.Options()), generators())
    sum(t.mean() for t in terms.values()).backward()
    assert tuple(predict.calls_per_image(images).values()) == cost
    assert sum(passes) / images == cost[1] + cost[2] + cost[3]


TOGETHER = [
    "oclt",
    "cbdm",
    "agc",
    "ccua",
    "coral",
    "dispersive",
    {"name": "diffrop", "form": "counterfactual"},
    "cm",
    {"name": "igd", "mode": "shared", "peers": {"sample": 1}},
]
PAIRS = [[one, other] for k, one in enumerate(TOGETHER) for other in TOGETHER[:k]]


@pytest.mark.parametrize(
    "process", [vp.build(vp.Options()), edm.build(edm.Options())], ids=["vp", "edm"]
)
@pytest.mark.parametrize("methods", [TOGETHER, *PAIRS], ids=lambda m: " ".join(map(_name, m))[:40])
def test_methods_compose_with_a_gradient_in_one_call(methods, process):
    """Only IGD's peers, which need no gradient, are evaluated in a second call."""
    options = {"ch": 4, "norm_groups": 2, "ch_mult": (1,), "attn": (), "num_res_blocks": 1}
    net = unet.build(unet.Options(**options, reserve=0.2), 1, 4, 4)
    full, calls = objective(*methods), []
    full.bind(net, 0)
    predict = Predictor(net, CPU, "fp32")
    net.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    data = batch([0, 1, 2, 3, -1], classes=[0, 1, 2, 3, 2], x0=torch.randn(5, 1, 4, 4))
    terms = loss(full, predict, data, process, generators())
    sum(term.mean() for term in terms.values()).backward()
    assert calls == [True] + [False] * ("igd" in map(_name, methods))
    parts = [parse_part("method", method, ()) for method in methods]
    assert predict.calls_per_image(5) == asdict(evaluations(parts, 4))
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def _name(method):
    return method if isinstance(method, str) else method["name"]


def _count_backward(output, passes):
    """Add the rows of F, and of F without the reserve, when a gradient reaches them."""
    for F in output[::2] if isinstance(output, tuple) else [output]:
        if F.requires_grad:
            F.register_hook(lambda gradient: passes.append(len(gradient)))
