"""The game of mutual learning on random features: costs, equilibrium, gaps and training."""

import pytest
import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.theory.game import Costs, Game
from ltdm.theory.points import rng

RIDGE, BETA = 1e-3, 0.7
F64 = torch.float64


def moments(players=2, m=12, d=2, n=40, seed=0):
    """Return features, noises and loss weights s of each player's rows, and their costs."""
    g = rng("test", seed)
    phi = torch.randn(players, n, m, generator=g, dtype=F64).clamp(min=0)
    eps = torch.randn(players, n, d, generator=g, dtype=F64)
    s = torch.rand(players, n, 1, generator=g, dtype=F64)
    costs = Costs(
        phi.mT @ phi / n, phi.mT @ (s * phi) / n, phi.mT @ eps / n, eps.square().sum((1, 2)) / n
    )
    return phi, eps, s, costs


def make_game(beta=BETA, **changes):
    return Game(moments(**changes)[-1], torch.tensor(beta, dtype=F64), RIDGE)


def cost(y, A, phi, eps, s, beta=BETA):
    """Return player y's cost by the paper's definition, from predictions on its rows."""
    prediction = phi[y] @ A[y]
    total = (prediction - eps[y]).square().sum(-1).mean() + RIDGE * A[y].square().sum()
    peers = [z for z in range(len(A)) if z != y]
    for z in peers:
        distance = (prediction - phi[y] @ A[z].detach()).square().sum(-1)
        total = total + beta * (s[y, :, 0] * distance).mean() / len(peers)
    return total


def weights(players=2, m=12, d=2, seed=1):
    return torch.randn(players, m, d, generator=rng("test", seed), dtype=F64)


def best_response(game, A):
    """Return each player's best response to its peers in A: where its gradient is zero."""
    others = (A.sum(-3, keepdim=True) - A) / (len(A) - 1)
    return torch.linalg.solve(game.H, game.B + game.mutual @ others)


@pytest.mark.parametrize("players", [2, 3])
def test_gradient_is_that_of_each_players_cost(players):
    phi, eps, s, costs = moments(players)
    A = weights(players).requires_grad_()
    total = sum(cost(y, A, phi, eps, s) for y in range(players))
    (expected,) = torch.autograd.grad(total, A)
    gradient = Game(costs, torch.tensor(BETA, dtype=F64), RIDGE).gradient(A.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


def test_loss_and_excess_cost_are_those_of_the_rows():
    phi, eps, s, costs = moments()
    A = weights()
    plain = [float((phi[y] @ A[y] - eps[y]).square().sum(-1).mean()) for y in range(2)]
    assert costs.loss(A).tolist() == pytest.approx(plain, rel=1e-12)
    best = costs.minimiser(RIDGE)
    gap = [float(cost(y, A, phi, eps, s, 0) - cost(y, best, phi, eps, s, 0)) for y in range(2)]
    assert costs.excess_cost(A, RIDGE).tolist() == pytest.approx(gap, rel=1e-10)


@pytest.mark.parametrize("players", [2, 3])
@pytest.mark.parametrize("beta", [0.0, 0.1, 10.0])
def test_equilibrium_is_stationary_and_a_best_response_for_every_player(players, beta):
    game = make_game(beta, players=players)
    nash = game.equilibrium()
    assert float(game.gradient(nash).abs().max()) < 1e-8
    torch.testing.assert_close(best_response(game, nash), nash, rtol=0, atol=1e-8)
    assert float(game.gap(game.apply_G(nash - nash)).max()) == 0


def test_gap_is_the_gain_of_the_best_response_and_positive_off_the_equilibrium():
    phi, eps, s, costs = moments()
    game, A = Game(costs, torch.tensor(BETA, dtype=F64), RIDGE), weights()
    best, nash = best_response(game, A), game.equilibrium()
    gap = game.gap(game.apply_G(A - nash))
    for y in range(2):
        response = A.clone()
        response[y] = best[y]
        gain = cost(y, A, phi, eps, s) - cost(y, response, phi, eps, s)
        assert float(gap[y]) == pytest.approx(float(gain), rel=1e-9)
        for seed in range(20):
            other = A.clone()
            other[y] += 0.1 * weights(seed=seed)[y]
            assert cost(y, response, phi, eps, s) < cost(y, other, phi, eps, s)
    assert (gap > 0).all()


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("players", [2, 3])
def test_squaring_equals_steps_one_by_one(players, sequential):
    game, A = make_game(players=players), weights(players)
    nash, step = game.equilibrium(), game.safe_step()
    steps = (5, 64, 100)
    expected = {}
    for n in range(1, 101):
        if sequential:
            for y in range(players):
                A = A.clone()
                A[y] -= step * game.gradient(A)[y]
        else:
            A = A - step * game.gradient(A)
        expected[n] = A
    errors = dict(game.errors(weights(players) - nash, game.step_map(step, sequential), steps))
    assert sorted(errors) == [1, 2, 4, 5, 8, 16, 32, 64, 100]
    for n, error in errors.items():
        torch.testing.assert_close(nash + error, expected[n], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("beta", [0.0, 0.7, 10.0])
def test_training_converges_below_the_bound_and_not_above(beta):
    game = make_game(beta)
    nash, bound = game.equilibrium(), game.step_bound()
    start = weights() - nash

    def final_error(step, sequential=False):
        P = game.step_map(step, sequential)
        return float(list(game.errors(start, P, (2**20,)))[-1][1].norm())

    assert final_error(0.99 * bound) < 1e-10
    assert not final_error(1.01 * bound) < float(start.norm())
    safe = game.safe_step()
    assert 0 < float(safe) <= float(bound) * (1 + 1e-12)
    assert final_error(0.9 * safe) < 1e-10 and final_error(0.9 * safe, sequential=True) < 1e-10


def test_gap_falls_to_zero_during_training():
    game = make_game()
    nash = game.equilibrium()
    P = game.step_map(game.safe_step(), sequential=False)
    gaps = [float(game.gap(game.apply_G(e)).max()) for _, e in game.errors(-nash, P, (2**22,))]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-20


def test_without_mutual_term_players_are_independent_bit_for_bit():
    """Other points of the second player change no bit of the first player's training."""
    _, _, _, costs = moments(seed=0)
    other = moments(seed=5)[-1]
    mixed = Costs(*(torch.stack([a[0], b[1]]) for a, b in zip(costs, other, strict=True)))
    paths = []
    for game_costs in (costs, mixed):
        game = Game(game_costs, torch.tensor(0.0, dtype=F64), RIDGE)
        P = game.step_map(torch.tensor(0.1, dtype=F64), sequential=False)
        nash = game.equilibrium()
        paths.append([nash[0], *(e[0] for _, e in game.errors(-nash, P, (1000,)))])
    assert all(torch.equal(a, b) for a, b in zip(*paths, strict=True))
    alone = torch.linalg.solve(costs.K + RIDGE * torch.eye(12, dtype=F64), costs.B)
    torch.testing.assert_close(paths[0][0], alone[0], rtol=1e-12, atol=1e-12)


def test_a_batch_of_games_equals_each_game_alone():
    betas = torch.tensor([0.0, 0.3, 5.0], dtype=F64)
    stacks = [moments(seed=seed)[-1] for seed in range(2)]
    costs = Costs(*(part[:, None] for part in Costs.stack(stacks)))
    many = Game(costs, betas, RIDGE)
    nash, bound, safe = many.equilibrium(), many.step_bound(), many.safe_step()
    assert nash.shape == (2, 3, 2, 12, 2) and bound.shape == safe.shape == (2, 3)
    for seed in range(2):
        for k, beta in enumerate(betas.tolist()):
            single = make_game(beta, seed=seed)
            torch.testing.assert_close(nash[seed, k], single.equilibrium(), rtol=1e-9, atol=1e-9)
            assert float(bound[seed, k]) == pytest.approx(float(single.step_bound()))
            assert float(safe[seed, k]) == pytest.approx(float(single.safe_step()))


def test_the_number_of_threads_does_not_matter():
    """PyTorch's solver with oneMKL is wrong for about 200 equations or more in some threads."""
    costs = moments(m=130, n=400)[-1]
    betas = torch.tensor([0.0, 0.5, 1.0], dtype=F64)
    game = Game(Costs(*(part[None] for part in costs)), betas, RIDGE)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        nash = game.equilibrium()
    finally:
        torch.set_num_threads(before)
    assert float(game.gradient(nash).abs().max()) < 1e-8


def test_an_undetermined_equilibrium_is_an_error():
    """With fewer rows than features, some directions of A do not change the cost."""
    costs = moments(n=5)[-1]
    with pytest.raises(LtdmError, match=r"condition .* raise the sweep's ridge"):
        Game(costs, torch.tensor(0.5, dtype=F64), 0.0).equilibrium()
