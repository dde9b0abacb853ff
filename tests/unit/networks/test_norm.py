"""Group norm written out: PyTorch's values and gradients, in the layout of its input."""

import pytest
import torch
import torch.nn.functional as nnf

from ltdm.networks._norm import GroupNorm, decomposed_group_norm, group_norm

LAST = torch.channels_last


def pair(kind, layout=torch.contiguous_format, affine=True):
    torch.manual_seed(0)
    x = 3 * torch.randn(4, 16, 6, 6, dtype=kind) + 5
    affine = [torch.randn(16, dtype=kind) for _ in range(2)] if affine else [None, None]
    return x.to(memory_format=layout).requires_grad_(), *affine


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, LAST])
@pytest.mark.parametrize(("kind", "near"), [(torch.float32, 3e-6), (torch.float64, 1e-13)])
def test_values_and_gradients_are_pytorchs(affine, layout, kind, near):
    found = []
    for norm in (decomposed_group_norm, nnf.group_norm):
        x, weight, bias = pair(kind, layout, affine)
        y = norm(x, 4, weight, bias)
        y.sin().sum().backward()
        found.append((y.detach(), x.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=near, atol=10 * near)


def test_channels_last_stay_so_there_and_back():
    x, weight, bias = pair(torch.float32, LAST)
    y = decomposed_group_norm(x, 4, weight, bias)
    (gradient,) = torch.autograd.grad(y, x, torch.randn_like(y))
    assert y.is_contiguous(memory_format=LAST)
    assert gradient.is_contiguous(memory_format=LAST)


def test_half_precision_keeps_its_type_and_statistics_are_in_float32():
    x, weight, bias = (t.detach() for t in pair(torch.float32))
    half = decomposed_group_norm(x.bfloat16(), 4, weight.bfloat16(), bias.bfloat16())
    assert half.dtype == torch.bfloat16
    exact = nnf.group_norm(x.bfloat16().float(), 4, weight.bfloat16().float(), bias.float())
    assert (half.float() - exact).abs().max() < 0.05


def test_vectors_and_stacks():
    x = torch.randn(5, 3, 8)
    stack = torch.func.vmap(lambda one: decomposed_group_norm(one, 4))(x[:, :, :, None, None])
    each = torch.stack([nnf.group_norm(one[:, :, None, None], 4) for one in x])
    torch.testing.assert_close(stack, each)
    torch.testing.assert_close(decomposed_group_norm(x[0], 4), nnf.group_norm(x[0], 4))


def test_on_a_cpu_it_is_pytorchs_to_the_bit():
    x, weight, bias = (t.detach() for t in pair(torch.float32))
    assert torch.equal(group_norm(x, 4, weight, bias), nnf.group_norm(x, 4, weight, bias))
    module = GroupNorm(4, 16)
    assert torch.equal(module(x), nnf.group_norm(x, 4, module.weight, module.bias))
    assert list(module.state_dict()) == ["weight", "bias"]
