"""Decomposed group norm has PyTorch's values and gradients, and its input's memory layout."""

import pytest
import torch
import torch.nn.functional as nnf

from ltdm.networks._norm import GroupNorm, decomposed_group_norm, group_norm

LAST = torch.channels_last


def random_inputs(dtype, layout=torch.contiguous_format, affine=True):
    torch.manual_seed(0)
    x = 3 * torch.randn(4, 16, 6, 6, dtype=dtype) + 5
    affine = [torch.randn(16, dtype=dtype) for _ in range(2)] if affine else [None, None]
    return x.to(memory_format=layout).requires_grad_(), *affine


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, LAST])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-6), (torch.float64, 1e-13)])
def test_values_and_gradients_are_pytorchs(affine, layout, dtype, tolerance):
    results = []
    for norm in (decomposed_group_norm, nnf.group_norm):
        x, weight, bias = random_inputs(dtype, layout, affine)
        y = norm(x, 4, weight, bias)
        y.sin().sum().backward()
        results.append((y.detach(), x.grad))
    for value, expected in zip(*results, strict=True):
        torch.testing.assert_close(value, expected, rtol=tolerance, atol=10 * tolerance)


def test_output_and_gradient_keep_channels_last():
    x, weight, bias = random_inputs(torch.float32, LAST)
    y = decomposed_group_norm(x, 4, weight, bias)
    (gradient,) = torch.autograd.grad(y, x, torch.randn_like(y))
    assert y.is_contiguous(memory_format=LAST)
    assert gradient.is_contiguous(memory_format=LAST)


def test_half_precision_keeps_its_type_with_statistics_in_float32():
    x, weight, bias = (t.detach() for t in random_inputs(torch.float32))
    half = decomposed_group_norm(x.bfloat16(), 4, weight.bfloat16(), bias.bfloat16())
    assert half.dtype == torch.bfloat16
    exact = nnf.group_norm(x.bfloat16().float(), 4, weight.bfloat16().float(), bias.float())
    assert (half.float() - exact).abs().max() < 0.05


def test_vectors_and_vmapped_stacks():
    x = torch.randn(5, 3, 8)
    stack = torch.func.vmap(lambda row: decomposed_group_norm(row, 4))(x[:, :, :, None, None])
    each = torch.stack([nnf.group_norm(row[:, :, None, None], 4) for row in x])
    torch.testing.assert_close(stack, each)
    torch.testing.assert_close(decomposed_group_norm(x[0], 4), nnf.group_norm(x[0], 4))


def test_group_norm_on_a_cpu_is_pytorchs_to_the_bit():
    x, weight, bias = (t.detach() for t in random_inputs(torch.float32))
    assert torch.equal(group_norm(x, 4, weight, bias), nnf.group_norm(x, 4, weight, bias))
    module = GroupNorm(4, 16)
    assert torch.equal(module(x), nnf.group_norm(x, 4, module.weight, module.bias))
    assert list(module.state_dict()) == ["weight", "bias"]
