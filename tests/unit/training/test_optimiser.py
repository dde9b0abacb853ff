"""Adam for a stack of separate networks: each is trained as if it were alone."""

import copy

import pytest
import torch
from torch import nn

from ltdm.networks._per_class import PerClassNetworks, extract_network
from ltdm.training.optimiser import Optimiser
from ltdm.training.options import TrainOptions
from tests.helpers.training import CPU

ALL = torch.ones(6, dtype=torch.bool)  # every image has a label


def networks(number):
    """Return networks whose sizes are no multiples of a processor's vectors."""
    torch.manual_seed(0)
    return [nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)) for _ in range(number)]


@pytest.mark.parametrize("number", [3, 10])
@pytest.mark.parametrize("clip", [0.05, None])
def test_a_stack_makes_the_steps_of_its_networks_alone_to_the_bit(number, clip):
    nets, options = networks(number), TrainOptions(grad_clip=clip)
    players = PerClassNetworks(copy.deepcopy(nets))
    stacked = Optimiser(players, [], options, CPU)
    single = [Optimiser(net, [], options, CPU) for net in nets]
    for _ in range(5):
        for optimiser in (stacked, *single):
            optimiser.zero_grad()
            optimiser.lr.fill_(1e-2)
        inputs = torch.randn(number, 6, 5)
        players.forward_sequential(inputs).square().mean((1, 2)).sum().backward()
        for net, x in zip(nets, inputs, strict=True):
            net(x).square().mean().backward()
        norms = stacked.step(ALL)
        assert torch.equal(norms, torch.cat([optimiser.step(ALL) for optimiser in single]))
    for k, net in enumerate(nets):
        weights = extract_network(players.state_dict(), k)
        assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())


def test_extra_parameters_have_a_norm_and_moments_of_their_own():
    players, extra = PerClassNetworks(networks(3)), nn.Parameter(torch.ones(4))
    optimiser = Optimiser(players, [extra], TrainOptions(grad_clip=0.1), CPU)
    optimiser.lr.fill_(1e-2)
    (players.forward_sequential(torch.randn(3, 6, 5)).sum() + 50 * extra.sum()).backward()
    assert len(optimiser.step(ALL)) == 3
    assert extra.grad.norm().item() == pytest.approx(0.1, rel=1e-3)
    assert [entry["step"].item() for entry in optimiser.state_dict()] == [1.0] * 5
    again = Optimiser(players, [extra], TrainOptions(), CPU)
    again.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for one, other in zip(again.state_dict(), optimiser.state_dict(), strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
