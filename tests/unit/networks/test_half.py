"""bf16 copies of float32 weights: the same function as autocast, in fewer kernels."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ltdm.networks import edm2, mlp, unet
from ltdm.networks._half import HalfWeights
from ltdm.networks._per_class import PerClassNetworks
from ltdm.networks._predictor import Predictor
from tests.helpers.training import CPU, learner_of, run

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
    for p in net.parameters():  # weights that start at zero would hide the others
        p.data += 0.05 * torch.randn_like(p)
    return net


def inputs(n=8):
    torch.manual_seed(1)
    return torch.randn(n, 3, 8, 8), torch.rand(n), torch.arange(n) % 5 - 1, torch.randn(n, 9)


def output_and_gradient(net, precision):
    """Return a network's output, and the gradient of all its weights as one vector."""
    net = copy.deepcopy(net)
    F = Predictor(net, CPU, precision)(*inputs())
    F.square().mean().backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(g.dtype == torch.float32 for g in grads), "the optimiser's weights are float32"
    return F.detach(), torch.cat([g.flatten() for g in grads])


def relative_error(value, exact):
    return ((value - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("name", NETWORKS)
def test_its_error_is_that_of_autocast(name):
    """At most twice autocast's distance from float32, or one rounding to bf16 (1/256)."""
    net = network(name)
    exact, auto, half = (
        output_and_gradient(net, precision) for precision in ("fp32", "bf16", "bf16-master")
    )
    for k in range(2):
        autocast_error = relative_error(auto[k], exact[k])
        assert relative_error(half[k], exact[k]) < max(2 * autocast_error, 1 / 256) < 0.05


class DtypeRecorder(TorchDispatchMode):
    """Counts casts, and collects the input types of convolutions and matrix products.

    Batched products are left out with attention, which on a CPU accumulates in float32.
    """

    def __init__(self, attention=True):
        super().__init__()
        self.names = {"convolution", "mm", "addmm", *(() if attention else ("bmm", "baddbmm"))}
        self.products, self.casts = set(), 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("aten::").partition(".")[0]
        if name in self.names:
            self.products |= {a.dtype for a in args if isinstance(a, torch.Tensor)}
        self.casts += name == "_to_copy"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_product_is_in_bf16_and_no_weight_is_cast_on_its_own(name):
    net = network(name)
    with DtypeRecorder() as half:
        Predictor(net, CPU, "bf16-master")(*inputs()).sum().backward()
    with DtypeRecorder() as auto:
        Predictor(net, CPU, "bf16")(*inputs()).sum().backward()
    assert half.products == {torch.bfloat16}
    if name not in ("edm2-E", "edm2-G"):  # whose weights are normalised in float32
        assert half.casts < auto.casts - len(list(net.parameters())) / 2


@pytest.mark.parametrize("name", ["unet", "edm2-E", "mlp"])
def test_vmapped_networks_run_in_bf16(name):
    """Under autocast a stack runs in float32 after its first bias, and PyTorch 2.11 then has no
    backward pass of its attention."""
    networks = PerClassNetworks([network(name) for _ in range(3)])
    networks.forward_sequential = networks.forward_vmapped
    x, level, _, augment = inputs(6)
    predict = Predictor(networks, CPU, "bf16")
    with DtypeRecorder(attention=name != "mlp") as recorder:
        F = predict(x, level, torch.tensor([0, 1, 2, 0, 1, 2]), augment)
        F.sum().backward()
    assert F.dtype == torch.float32
    assert recorder.products == {torch.bfloat16}


def test_scalars_stay_in_float32():
    net, dtypes = network("edm2-G"), set()
    block = net.upblocks[0]
    forward = block.modulation.forward

    def recorded(emb, gain):
        dtypes.add(gain.dtype)
        return forward(emb, gain)

    block.modulation.forward = recorded
    HalfWeights(net)(*inputs())
    assert dtypes == {torch.float32}, "a gain is a scalar"


@pytest.mark.parametrize("name", ["cbdm", "edm2", "separate", "composed"])
def test_it_trains_like_autocast(name):
    """After twelve training steps its distance from float32 is that of autocast."""
    states = {}
    for precision in ("fp32", "bf16", "bf16-master"):
        learner = learner_of(name, precision=precision, warmup_steps=0)
        run(learner)
        states[precision] = torch.cat([p.detach().flatten() for p in learner.net.parameters()])
        assert states[precision].dtype == torch.float32
    errors = [relative_error(states[k], states["fp32"]) for k in ("bf16-master", "bf16")]
    assert errors[0] < 2 * errors[1]
