"""CCUA: contrast, alignment, and the network's calls."""

import math

import pytest
import torch

from ltdm.methods.ccua import contrast
from tests.helpers.methods import Net, batch, double_process, generators, loss, objective


def test_contrast_equals_the_papers_formula():
    rng = torch.Generator().manual_seed(0)
    z, kappa = torch.randn(7, 5, generator=rng, dtype=torch.float64), 0.1
    unit = z / z.norm(dim=1, keepdim=True)
    expected = []
    for i in range(7):
        others = sum(math.exp(unit[i] @ unit[j] / kappa) for j in range(7) if j != i)
        itself = math.exp(1 / kappa)
        expected.append(-math.log(itself / (itself + others)))
    torch.testing.assert_close(contrast(z, kappa), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("al", [0.0, 0.5])
def test_losses_and_calls(al):
    """An image without a label takes part in the contrast, and has no alignment."""
    process, data, net = double_process(), batch([0, -1, 2]), Net()
    method = objective({"name": "ccua", "ucl": 2.0, "al": al})
    terms = loss(method, net, data, process, generators())
    x, level, _ = net.calls[0]
    s, rows = level[:3] / 1000, net.rows.detach()
    z = torch.cat([x[:3].flatten(1), rows[-1].expand(3, 1)], dim=1)
    torch.testing.assert_close(terms["contrast"], 2.0 * s * contrast(z, 0.1))
    if al:
        gap = torch.stack([(rows[0] - rows[-1]) ** 2, 0 * rows[0], (rows[2] - rows[-1]) ** 2])
        torch.testing.assert_close(terms["align"], al * s * gap)
        assert [len(x) for x, _, _ in net.calls] == [6], "one call"
    else:
        assert "align" not in terms
        assert (net.forward, net.encoder) == (3, 3)


def test_alignment_trains_both_branches():
    process, data, net = double_process(), batch([1]), Net()
    method = objective({"name": "ccua", "ucl": 0})
    loss(method, net, data, process, generators())["align"].sum().backward()
    torch.testing.assert_close(net.rows.grad[1], -net.rows.grad[-1])
    assert net.rows.grad[1] != 0


def test_contrast_is_equal_with_and_without_alignment():
    """With alignment the bottleneck comes with F; without, from the encoder alone."""
    process, data = double_process(), batch([0, -1, 2, 3])
    with_al, without = (
        loss(objective({"name": "ccua", "al": al}), Net(), data, process, generators())
        for al in (1.0, 0.0)
    )
    torch.testing.assert_close(with_al["contrast"], without["contrast"])
