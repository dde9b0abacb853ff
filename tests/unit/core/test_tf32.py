"""TF32 on the CPU: the rounding, and that every product of the networks is rounded, no more."""

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ltdm.core.tf32 import OPERAND_POSITIONS, Tf32, round_to_tf32
from ltdm.networks import edm2, mlp, unet
from ltdm.networks._magnitude import Forced
from ltdm.networks._predictor import Predictor

CPU = torch.device("cpu")
UNET = unet.Options(ch=32, ch_mult=(1, 2), attn=(1,), num_res_blocks=1)
EDM2 = {
    "ch": 16,
    "norm_groups": 8,
    "ch_mult": (1, 2),
    "attn": (1,),
    "num_res_blocks": 1,
    "head_channels": 8,
}
NETWORKS = {
    "unet": (unet, UNET),
    **{f"edm2-{c}": (edm2, edm2.Options(config=c, **EDM2)) for c in "CEG"},
    "mlp": (mlp, mlp.Options(width=16, depth=3)),
}


def by_integers(x):
    """Round float32 in NumPy, by the remainder of the bits that go."""
    bits = x.view(np.uint32)
    kept, rest = bits >> 13, bits & 0x1FFF
    up = (rest > 0x1000) | ((rest == 0x1000) & (kept % 2 == 1))
    found = ((kept + up) << 13).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(x), found, x)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (1 + 2**-11, 1.0),  # a tie, to even
        (1 + 3 * 2**-11, 1 + 2**-9),  # a tie, to even, which is above
        (-1 - 3 * 2**-11, -1 - 2**-9),
        (1 + 2**-11 + 2**-23, 1 + 2**-10),
        (1 + 2**-11 - 2**-23, 1.0),
        (2 - 2**-23, 2.0),  # into the next exponent
        (3 * 2.0**-138, 2.0**-136),  # below the smallest normal number, 2^-126
        (2.0**-149, 0.0),
        (2.0**-126 - 2.0**-149, 2.0**-126),
        (float(np.finfo(np.float32).max), np.inf),
        (np.inf, np.inf),
        (-np.inf, -np.inf),
        (0.0, 0.0),
    ],
)
def test_single_numbers(given, wanted):
    assert round_to_tf32(torch.tensor([given], dtype=torch.float32)).item() == wanted


def test_rounding_is_that_of_integers_bit_for_bit():
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)
    bits[::2] = bits[::2] & ~np.uint32(0x1FFF) | np.uint32(0x1000)  # ties
    x = np.concatenate([bits.view(np.float32), np.float32([0.0, -0.0, np.nan, -np.nan])])
    found = round_to_tf32(torch.from_numpy(x.copy())).numpy()
    assert (found.view(np.uint32) == by_integers(x).view(np.uint32)).all()
    again = round_to_tf32(torch.from_numpy(found.copy())).numpy()
    assert (again.view(np.uint32) == found.view(np.uint32)).all()


def test_rounding_keeps_the_layout():
    x = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert round_to_tf32(x).stride() == x.stride()


def shaken(name):
    """A network of which every layer says something, and what to ask it."""
    module, options = NETWORKS[name]
    torch.manual_seed(0)
    net = module.build(options, channels=1, size=8, classes=3).eval()
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    x = torch.randn(4, 1, 8, 8)
    return net, (x, torch.linspace(0.1, 1, 4), torch.tensor([-1, 0, 1, 2]))


def listened(monkeypatch):
    """Note the inputs and the output of each call of a layer's function."""
    heard = []

    def noting(function):
        def call(*inputs, **options):
            said = function(*inputs, **options)
            heard.append((function, inputs, options, said))
            return said

        return call

    for name in ("conv2d", "linear"):
        monkeypatch.setattr(nnf, name, noting(getattr(nnf, name)))
    return heard


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_says_what_float64_says_of_rounded_operands(name, mode, monkeypatch):
    net, asked = shaken(name)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear | Forced)]
    with monkeypatch.context() as patch, mode():
        heard = listened(patch)
        Predictor(net, CPU, "tf32")(*asked)
    assert len(heard) == len(layers)
    for function, (x, weight, *bias), options, said in heard:
        rest = [b if b is None else b.double() for b in bias[:1]] + bias[1:]
        wanted = function(
            round_to_tf32(x).double(), round_to_tf32(weight).double(), *rest, **options
        )
        size = wanted.abs().max()
        assert (said - wanted).abs().max() < 3e-6 * size, "but for float32's own rounding"
        with mode():
            plain = function(x, weight, *bias, **options)
        assert (plain - wanted).abs().max() > 1e-5 * size, "so that test can tell"


class Products(TorchDispatchMode):
    """Notes operations that are products, by whatever name, and their operands."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(part in str(func) for part in ("mm", "conv", "attention", "dot", "mv", "linear")):
            self.seen.append((func.overloadpacket, args))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_product_is_missed_by_whatever_name(name):
    """Attention's too, which is one operation or two by how its inputs lie."""
    net, asked = shaken(name)
    with torch.no_grad():
        with Products() as plain:
            net(*asked)
        with Products() as tf32:  # which sees what comes out of the other
            Predictor(net, CPU, "tf32")(*asked)
    names = [operation for operation, _ in tf32.seen]
    assert names == [operation for operation, _ in plain.seen]
    attends = {torch.ops.aten.bmm, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu}
    assert bool(attends & {*names}) == (name != "mlp")
    for operation, inputs in tf32.seen:
        for operand in (inputs[k] for k in OPERAND_POSITIONS[operation]):
            assert torch.equal(round_to_tf32(operand), operand)


def test_attention_in_one_operation():
    q, k, v = torch.randn(3, 2, 1, 16, 8)
    wanted = nnf.scaled_dot_product_attention(round_to_tf32(q), round_to_tf32(k), round_to_tf32(v))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), Tf32():
            assert torch.equal(nnf.scaled_dot_product_attention(q, k, v), wanted)


@pytest.mark.parametrize("name", NETWORKS)
def test_fp32_is_untouched_and_tf32_is_near_it(name):
    net, asked = shaken(name)
    with torch.inference_mode():
        plain = net(*asked)
        tf32 = Predictor(net, CPU, "tf32")(*asked)
        assert torch.equal(Predictor(net, CPU, "fp32")(*asked), plain)
        assert torch.equal(net(*asked), plain)
    with torch.no_grad():
        assert torch.equal(Predictor(net, CPU, "tf32")(*asked), tf32)
    gap = (tf32 - plain).abs().max() / plain.abs().max()
    assert 1e-5 < gap < 2e-2


def test_other_types_and_other_operations_stay_as_they_are():
    x = torch.randn(5, 5)
    with Tf32():
        assert torch.equal(x * x, (x.clone() * x))
        assert torch.equal((x.double() @ x.double()), x.double().matmul(x.double()))
        inside = x.double() @ x.double()
    assert torch.equal(inside, x.double() @ x.double())
    bias = torch.full((5, 5), 1 + 2**-20)
    with Tf32():
        assert torch.equal(torch.addmm(bias, x, torch.zeros(5, 5)), bias), "no operand of it"
