"""TF32 on the CPU: the rounding, and that exactly the products of the networks are rounded."""

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ltdm.core.tf32 import OPERAND_POSITIONS, Tf32, round_to_tf32
from ltdm.networks import edm2, mlp, unet
from ltdm.networks._magnitude import MPLayer
from ltdm.networks._predictor import Predictor

CPU = torch.device("cpu")
UNET = unet.Options(ch=32, ch_mult=(1, 2), attn=(1,), num_res_blocks=1)
EDM2 = dict(ch=16, norm_groups=8, ch_mult=(1, 2), attn=(1,), num_res_blocks=1, head_channels=8)
NETWORKS = {
    "unet": (unet, UNET),
    **{f"edm2-{c}": (edm2, edm2.Options(config=c, **EDM2)) for c in "CEG"},
    "mlp": (mlp, mlp.Options(width=16, depth=3)),
}


def round_in_numpy(x):
    """Round float32 to TF32 in NumPy, by comparing the dropped bits with one half."""
    bits = x.view(np.uint32)
    upper, dropped = bits >> 13, bits & 0x1FFF
    up = (dropped > 0x1000) | ((dropped == 0x1000) & (upper % 2 == 1))
    rounded = ((upper + up) << 13).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(x), rounded, x)


@pytest.mark.parametrize(
    ("value", "expected"),
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
def test_single_numbers_are_rounded_half_to_even(value, expected):
    assert round_to_tf32(torch.tensor([value], dtype=torch.float32)).item() == expected


def test_rounding_equals_that_in_numpy_to_the_bit():
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)
    bits[::2] = bits[::2] & ~np.uint32(0x1FFF) | np.uint32(0x1000)  # ties
    x = np.concatenate([bits.view(np.float32), np.float32([0.0, -0.0, np.nan, -np.nan])])
    rounded = round_to_tf32(torch.from_numpy(x.copy())).numpy()
    assert (rounded.view(np.uint32) == round_in_numpy(x).view(np.uint32)).all()
    twice = round_to_tf32(torch.from_numpy(rounded.copy())).numpy()
    assert (twice.view(np.uint32) == rounded.view(np.uint32)).all()


def test_rounding_keeps_the_memory_layout():
    x = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert round_to_tf32(x).stride() == x.stride()


def network_and_inputs(name):
    """Return a network all of whose layers affect its output, and inputs for it."""
    module, options = NETWORKS[name]
    torch.manual_seed(0)
    net = module.build(options, channels=1, size=8, classes=3).eval()
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    x = torch.randn(4, 1, 8, 8)
    return net, (x, torch.linspace(0.1, 1, 4), torch.tensor([-1, 0, 1, 2]))


def record_calls(monkeypatch):
    """Return a list to which each call of a layer's function adds its inputs and output."""
    calls = []

    def recording(function):
        def call(*inputs, **options):
            output = function(*inputs, **options)
            calls.append((function, inputs, options, output))
            return output

        return call

    for name in ("conv2d", "linear"):
        monkeypatch.setattr(nnf, name, recording(getattr(nnf, name)))
    return calls


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_equals_float64_on_rounded_operands(name, mode, monkeypatch):
    net, inputs = network_and_inputs(name)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear | MPLayer)]
    with monkeypatch.context() as patch, mode():
        calls = record_calls(patch)
        Predictor(net, CPU, "tf32")(*inputs)
    assert len(calls) == len(layers)
    for function, (x, weight, *bias), options, output in calls:
        rest = [b if b is None else b.double() for b in bias[:1]] + bias[1:]
        operands = round_to_tf32(x).double(), round_to_tf32(weight).double()
        exact = function(*operands, *rest, **options)
        size = exact.abs().max()
        assert (output - exact).abs().max() < 3e-6 * size, "except for float32's own rounding"
        with mode():
            plain = function(x, weight, *bias, **options)
        assert (plain - exact).abs().max() > 1e-5 * size, "TF32 differs by more than the tolerance"


class Products(TorchDispatchMode):
    """Context that records the operations that are products, under any name, with their inputs."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(part in str(func) for part in ("mm", "conv", "attention", "dot", "mv", "linear")):
            self.operations.append((func.overloadpacket, args))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_product_is_missed(name):
    """Attention is one operation or two, depending on the memory layout of its inputs."""
    net, inputs = network_and_inputs(name)
    with torch.no_grad():
        with Products() as plain:
            net(*inputs)
        with Products() as tf32:  # it records the operands after Tf32 has rounded them
            Predictor(net, CPU, "tf32")(*inputs)
    names = [operation for operation, _ in tf32.operations]
    assert names == [operation for operation, _ in plain.operations]
    attends = {torch.ops.aten.bmm, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu}
    assert bool(attends & {*names}) == (name != "mlp")
    for operation, arguments in tf32.operations:
        for operand in (arguments[k] for k in OPERAND_POSITIONS[operation]):
            assert torch.equal(round_to_tf32(operand), operand)


def test_attention_as_one_operation_rounds_its_inputs():
    q, k, v = torch.randn(3, 2, 1, 16, 8)
    expected = nnf.scaled_dot_product_attention(*map(round_to_tf32, (q, k, v)))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), Tf32():
            assert torch.equal(nnf.scaled_dot_product_attention(q, k, v), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_fp32_is_unchanged_and_tf32_is_close_to_it(name):
    net, inputs = network_and_inputs(name)
    with torch.inference_mode():
        plain = net(*inputs)
        tf32 = Predictor(net, CPU, "tf32")(*inputs)
        assert torch.equal(Predictor(net, CPU, "fp32")(*inputs), plain)
        assert torch.equal(net(*inputs), plain)
    with torch.no_grad():
        assert torch.equal(Predictor(net, CPU, "tf32")(*inputs), tf32)
    gap = (tf32 - plain).abs().max() / plain.abs().max()
    assert 1e-5 < gap < 2e-2


def test_other_types_and_other_operations_are_not_rounded():
    x = torch.randn(5, 5)
    with Tf32():
        assert torch.equal(x * x, (x.clone() * x))
        assert torch.equal((x.double() @ x.double()), x.double().matmul(x.double()))
        inside = x.double() @ x.double()
    assert torch.equal(inside, x.double() @ x.double())
    bias = torch.full((5, 5), 1 + 2**-20)
    with Tf32():
        assert torch.equal(torch.addmm(bias, x, torch.zeros(5, 5)), bias), (
            "an added bias is no operand"
        )
