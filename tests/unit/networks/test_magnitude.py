"""Layers that keep sizes, and keep their weights' norm after the optimiser's step."""

import copy

import pytest
import torch
from torch import nn

from ltdm.networks._magnitude import (
    Fourier,
    MPEmbedding,
    MPLayer,
    mp_cat,
    mp_silu,
    mp_sum,
    normalise_weights,
    rms_normalise,
)


def rms(x):
    return x.float().square().mean().sqrt().item()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_standard_normal_input_comes_out_of_size_one():
    torch.manual_seed(5)  # not the inputs' own
    assert rms(MPLayer(256, 512)(normal(2000, 256))) == pytest.approx(1, abs=0.05)
    inner = MPLayer(64, 64, 3, 3)(normal(8, 64, 32, 32))[..., 1:-1, 1:-1]
    assert rms(inner) == pytest.approx(1, abs=0.05)
    assert rms(mp_silu(normal(1_000_000))) == pytest.approx(1, abs=0.01)
    a, b = normal(8, 64, 32, 32), normal(8, 64, 32, 32, seed=1)
    for t in (0.0, 0.3, 0.5, 1.0):
        assert rms(mp_sum(a, b, t)) == pytest.approx(1, abs=0.02)
    assert rms(2**0.5 * Fourier(1000)(normal(2000))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("t", [0.3, 0.5])
def test_a_concatenation_has_size_one_and_shares_it_out(t):
    joined = mp_cat(normal(8, 64, 16, 16), normal(8, 192, 16, 16, seed=1), t)
    assert rms(joined) == pytest.approx(1, abs=0.02)
    share = joined[:, 64:].square().sum() / joined.square().sum()
    assert share.item() == pytest.approx(t**2 / (t**2 + (1 - t) ** 2), abs=0.02)


def test_normalising_is_over_the_channels_and_survives_zeros_and_half_precision():
    x = 300 * normal(2, 16, 4, 4)
    unit = rms_normalise(x)
    torch.testing.assert_close(unit.square().mean(1), torch.ones(2, 4, 4), rtol=1e-4, atol=1e-4)
    assert torch.equal(rms_normalise(torch.zeros(1, 4)), torch.zeros(1, 4))
    assert (
        torch.isfinite(rms_normalise(x.half())).all()
        and rms_normalise(x.half()).dtype == torch.half
    )
    assert torch.isfinite(rms_normalise(torch.full((1, 4096), 6e4).half())).all()


def test_gradients_are_along_the_rows_sphere():
    layer = MPLayer(6, 3).double()
    (layer(normal(5, 6).double()) ** 3).sum().backward()
    along = (layer.weight.grad * layer.weight).sum(1) / layer.weight.grad.norm(dim=1)
    assert along.abs().max() < 1e-3


class InForward(MPLayer):
    """The paper's way: the weights are rescaled in every forward pass of the training."""

    def forward(self, x, gain=1.0):
        self.normalise_weights()
        return super().forward(x, gain)


def trained(kind, steps=200):
    torch.manual_seed(0)
    net = nn.Sequential(kind(8, 32), nn.SiLU(), kind(32, 4))
    if kind is MPLayer:
        normalise_weights(net)  # the first forward pass would
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    rng = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(16, 8, generator=rng)
        loss = (net(x) - x[:, :4]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if kind is MPLayer:
            normalise_weights(net)
    if kind is InForward:
        normalise_weights(net)  # so would the next
    return [p.detach() for p in net.parameters()]


def test_after_the_step_is_in_the_forward_pass_bit_for_bit():
    for after, within in zip(trained(MPLayer), trained(InForward), strict=True):
        assert torch.equal(after, within)


def test_two_passes_and_one_backward():
    """What an objective needs that compares two labels; rescaling in forward breaks it."""
    x = normal(4, 8)
    for kind, breaks in ((MPLayer, False), (InForward, True)):
        layer = kind(8, 8)
        loss = layer(layer(x)).square().mean() + layer(2 * x).square().mean()
        if breaks:
            with pytest.raises(RuntimeError, match="inplace"):
                loss.backward()
        else:
            loss.backward()
            assert layer.weight.grad.abs().sum() > 0


def test_force_finds_every_layer_and_leaves_the_others():
    net = nn.ModuleDict({"a": MPLayer(4, 4), "b": MPEmbedding(3, 4), "c": nn.Linear(4, 4)})
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    before = copy.deepcopy(net["c"].state_dict())
    normalise_weights(net)
    for one in (net["a"], net["b"]):
        assert torch.allclose(one.weight.square().mean(1), torch.ones(()), atol=1e-3)
    assert torch.equal(net["c"].weight, before["weight"])


def test_a_growing_class_does_not_shrink_another():
    table = MPEmbedding(3, 8)
    others = table(torch.tensor([1, 2]))
    with torch.no_grad():
        table.weight[0] += 5
    table.normalise_weights()
    torch.testing.assert_close(table(torch.tensor([1, 2])), others)
