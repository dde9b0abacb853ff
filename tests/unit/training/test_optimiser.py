"""Adam of separate networks as a stack: each as if it were alone."""

import copy

import pytest
import torch
from torch import nn

from ltdm.networks._players import Players, network_of
from ltdm.training.optimiser import Optimiser
from ltdm.training.options import TrainOptions
from tests.unit.training.test_training import CPU


def networks(number):
    """Of sizes that leave a remainder in a processor's vectors."""
    torch.manual_seed(0)
    return [nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)) for _ in range(number)]


@pytest.mark.parametrize("number", [3, 10])
@pytest.mark.parametrize("clip", [0.05, None])
def test_a_stack_steps_as_each_network_alone_to_the_bit(number, clip):
    nets, options = networks(number), TrainOptions(grad_clip=clip)
    players = Players(copy.deepcopy(nets))
    together = Optimiser(players, [], options, CPU)
    alone = [Optimiser(net, [], options, CPU) for net in nets]
    for _ in range(5):
        for one in (together, *alone):
            one.zero_grad()
            one.lr.fill_(1e-2)
        inputs = torch.randn(number, 6, 5)
        players.in_turn(inputs).square().mean((1, 2)).sum().backward()
        for net, x in zip(nets, inputs, strict=True):
            net(x).square().mean().backward()
        norms = together.step()
        assert torch.equal(norms, torch.cat([one.step() for one in alone]))
    for k, net in enumerate(nets):
        mine = network_of(players.state_dict(), k)
        assert all(torch.equal(value, mine[name]) for name, value in net.state_dict().items())


def test_parameters_beside_the_networks_have_a_norm_and_moments_of_their_own():
    players, beside = Players(networks(3)), nn.Parameter(torch.ones(4))
    optimiser = Optimiser(players, [beside], TrainOptions(grad_clip=0.1), CPU)
    optimiser.lr.fill_(1e-2)
    (players.in_turn(torch.randn(3, 6, 5)).sum() + 50 * beside.sum()).backward()
    assert len(optimiser.step()) == 3
    assert beside.grad.norm().item() == pytest.approx(0.1, rel=1e-3)
    assert [kept["step"].item() for kept in optimiser.state_dict()] == [1.0] * 5
    again = Optimiser(players, [beside], TrainOptions(), CPU)
    again.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for one, other in zip(again.state_dict(), optimiser.state_dict(), strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
