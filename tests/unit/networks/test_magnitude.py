"""Magnitude-preserving layers, whose weights are normalised after the optimiser's step."""

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


def test_standard_normal_inputs_give_outputs_of_rms_one():
    torch.manual_seed(5)  # another seed than the inputs'
    assert rms(MPLayer(256, 512)(normal(2000, 256))) == pytest.approx(1, abs=0.05)
    inner = MPLayer(64, 64, 3, 3)(normal(8, 64, 32, 32))[..., 1:-1, 1:-1]
    assert rms(inner) == pytest.approx(1, abs=0.05)
    assert rms(mp_silu(normal(1_000_000))) == pytest.approx(1, abs=0.01)
    a, b = normal(8, 64, 32, 32), normal(8, 64, 32, 32, seed=1)
    for t in (0.0, 0.3, 0.5, 1.0):
        assert rms(mp_sum(a, b, t)) == pytest.approx(1, abs=0.02)
    assert rms(2**0.5 * Fourier(1000)(normal(2000))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("t", [0.3, 0.5])
def test_a_concatenation_has_rms_one_and_weights_its_parts(t):
    joined = mp_cat(normal(8, 64, 16, 16), normal(8, 192, 16, 16, seed=1), t)
    assert rms(joined) == pytest.approx(1, abs=0.02)
    share = joined[:, 64:].square().sum() / joined.square().sum()
    assert share.item() == pytest.approx(t**2 / (t**2 + (1 - t) ** 2), abs=0.02)


def test_rms_normalise_is_over_channels_and_handles_zeros_and_half_precision():
    x = 300 * normal(2, 16, 4, 4)
    unit = rms_normalise(x)
    torch.testing.assert_close(unit.square().mean(1), torch.ones(2, 4, 4), rtol=1e-4, atol=1e-4)
    assert torch.equal(rms_normalise(torch.zeros(1, 4)), torch.zeros(1, 4))
    assert (
        torch.isfinite(rms_normalise(x.half())).all()
        and rms_normalise(x.half()).dtype == torch.half
    )
    assert torch.isfinite(rms_normalise(torch.full((1, 4096), 6e4).half())).all()


def test_gradients_are_tangent_to_the_sphere_of_each_row():
    layer = MPLayer(6, 3).double()
    (layer(normal(5, 6).double()) ** 3).sum().backward()
    radial = (layer.weight.grad * layer.weight).sum(1) / layer.weight.grad.norm(dim=1)
    assert radial.abs().max() < 1e-3


class NormalisesInForward(MPLayer):
    """The paper's variant: training normalises the weights in every forward pass."""

    def forward(self, x, gain=1.0):
        self.normalise_weights()
        return super().forward(x, gain)


def train_network(kind, steps=200):
    torch.manual_seed(0)
    net = nn.Sequential(kind(8, 32), nn.SiLU(), kind(32, 4))
    if kind is MPLayer:
        normalise_weights(net)  # as the first forward pass of the paper's variant does
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
    if kind is NormalisesInForward:
        normalise_weights(net)  # as the next forward pass does
    return [p.detach() for p in net.parameters()]


def test_normalising_after_the_step_equals_normalising_in_forward_to_the_bit():
    for after_step, in_forward in zip(
        train_network(MPLayer), train_network(NormalisesInForward), strict=True
    ):
        assert torch.equal(after_step, in_forward)


def test_two_forward_passes_and_one_backward_pass():
    """An objective that compares two labels needs this; normalising in forward breaks it."""
    x = normal(4, 8)
    for kind, breaks in ((MPLayer, False), (NormalisesInForward, True)):
        layer = kind(8, 8)
        loss = layer(layer(x)).square().mean() + layer(2 * x).square().mean()
        if breaks:
            with pytest.raises(RuntimeError, match="inplace"):
                loss.backward()
        else:
            loss.backward()
            assert layer.weight.grad.abs().sum() > 0


def test_normalise_weights_changes_magnitude_preserving_layers_only():
    net = nn.ModuleDict({"a": MPLayer(4, 4), "b": MPEmbedding(3, 4), "c": nn.Linear(4, 4)})
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    before = copy.deepcopy(net["c"].state_dict())
    normalise_weights(net)
    for layer in (net["a"], net["b"]):
        assert torch.allclose(layer.weight.square().mean(1), torch.ones(()), atol=1e-3)
    assert torch.equal(net["c"].weight, before["weight"])


def test_a_growing_vector_does_not_shrink_the_others():
    table = MPEmbedding(3, 8)
    others = table(torch.tensor([1, 2]))
    with torch.no_grad():
        table.weight[0] += 5
    table.normalise_weights()
    torch.testing.assert_close(table(torch.tensor([1, 2])), others)
