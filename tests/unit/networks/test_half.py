"""Weights in bf16 that follow float32 ones: the same function as autocast, in fewer kernels."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ltdm.networks import edm2, mlp, unet
from ltdm.networks._half import HalfWeights
from ltdm.networks._per_class import PerClassNetworks
from ltdm.networks._predictor import Predictor
from tests.unit.training.test_training import CPU, learner_of, run

SMALL = {"ch": 32, "norm_groups": 8, "ch_mult": (1, 2), "attn": (1,), "dropout": 0.0}
NETWORKS = {
    "unet": lambda: unet.build(unet.Options(**SMALL, num_res_blocks=1), 3, 8, 4, augment_dim=9),
    "mlp": lambda: mlp.build(mlp.Options(width=32), 3, 8, 4, augment_dim=9),
    **{
        f"edm2-{config}": lambda config=config: edm2.build(
            edm2.Options(**SMALL, config=config, num_res_blocks=1, head_channels=32),
            3,
            8,
            4,
            augment_dim=9,
        )
        for config in "CEG"
    },
}


def network(name):
    torch.manual_seed(0)
    net = NETWORKS[name]()
    for p in net.parameters():  # what begins at zero says nothing otherwise
        p.data += 0.05 * torch.randn_like(p)
    return net


def inputs(n=8):
    torch.manual_seed(1)
    return torch.randn(n, 3, 8, 8), torch.rand(n), torch.arange(n) % 5 - 1, torch.randn(n, 9)


def answer(net, precision):
    """What a network says, and its gradient, in one vector each."""
    net = copy.deepcopy(net)
    said = Predictor(net, CPU, precision)(*inputs())
    said.square().mean().backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(g.dtype == torch.float32 for g in grads), "the optimiser's weights are float32"
    return said.detach(), torch.cat([g.flatten() for g in grads])


def off(one, other):
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_autocast_but_for_rounding(name):
    """As far from float32 as autocast is, about, or as one rounding to bf16 (1/256) is."""
    net = network(name)
    exact, auto, half = (answer(net, one) for one in ("fp32", "bf16", "bf16-master"))
    for k in range(2):
        assert off(half[k], exact[k]) < max(2 * off(auto[k], exact[k]), 1 / 256) < 0.05


class Kinds(TorchDispatchMode):
    """Counts casts, and collects the types of what convolutions and matrix products take.

    Products of batches are left out where there is attention, which on a CPU adds up in float32.
    """

    def __init__(self, attention=True):
        super().__init__()
        self.names = {"convolution", "mm", "addmm", *(() if attention else ("bmm", "baddbmm"))}
        self.products, self.casts = set(), 0

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        name = function.name().removeprefix("aten::").partition(".")[0]
        if name in self.names:
            self.products |= {a.dtype for a in args if isinstance(a, torch.Tensor)}
        self.casts += name == "_to_copy"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_product_is_in_bf16_and_no_weight_is_cast_alone(name):
    net = network(name)
    with Kinds() as half:
        Predictor(net, CPU, "bf16-master")(*inputs()).sum().backward()
    with Kinds() as auto:
        Predictor(net, CPU, "bf16")(*inputs()).sum().backward()
    assert half.products == {torch.bfloat16}
    if name not in ("edm2-E", "edm2-G"):  # whose weights are normalised in float32
        assert half.casts < auto.casts - len(list(net.parameters())) / 2


@pytest.mark.parametrize("name", ["unet", "edm2-E", "mlp"])
def test_separate_networks_run_in_bf16_as_a_stack(name):
    """Under autocast a stack ran in float32 from its first bias on, and PyTorch 2.11 has no way
    back through its attention then."""
    players = PerClassNetworks([network(name) for _ in range(3)])
    players.forward_sequential = players.forward_vmapped
    x, level, _, augment = inputs(6)
    predict = Predictor(players, CPU, "bf16")
    with Kinds(attention=name != "mlp") as kinds:
        said = predict(x, level, torch.tensor([0, 1, 2, 0, 1, 2]), augment)
        said.sum().backward()
    assert said.dtype == torch.float32
    assert kinds.products == {torch.bfloat16}


def test_scalars_stay_in_float32():
    net, kinds = network("edm2-G"), set()
    block = net.upblocks[0]
    plain = block.modulation.forward

    def watched(emb, gain):
        kinds.add(gain.dtype)
        return plain(emb, gain)

    block.modulation.forward = watched
    HalfWeights(net)(*inputs())
    assert kinds == {torch.float32}, "a gain is one number for all"


@pytest.mark.parametrize("name", ["cbdm", "edm2", "separate", "composed"])
def test_it_trains_like_autocast(name):
    """After twelve updates it is as far from float32 as autocast is."""
    states = {}
    for precision in ("fp32", "bf16", "bf16-master"):
        learner = learner_of(name, precision=precision, warmup_steps=0)
        run(learner)
        states[precision] = torch.cat([p.detach().flatten() for p in learner.net.parameters()])
        assert states[precision].dtype == torch.float32
    far = [off(states[one], states["fp32"]) for one in ("bf16-master", "bf16")]
    assert far[0] < 2 * far[1]
