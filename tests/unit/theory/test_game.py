"""The game of mutual learning on random features: costs, equilibrium, gap, and its training."""

import pytest
import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.theory.game import Costs, Game
from ltdm.theory.points import rng

RIDGE, BETA = 1e-3, 0.7
F64 = torch.float64


def moments(players=2, m=12, d=2, n=40, seed=0):
    """Return features, noises and progress of each player's rows, and the costs made of them."""
    g = rng("test", seed)
    phi = torch.randn(players, n, m, generator=g, dtype=F64).clamp(min=0)
    eps = torch.randn(players, n, d, generator=g, dtype=F64)
    s = torch.rand(players, n, 1, generator=g, dtype=F64)
    costs = Costs(
        phi.mT @ phi / n, phi.mT @ (s * phi) / n, phi.mT @ eps / n, eps.square().sum((1, 2)) / n
    )
    return phi, eps, s, costs


def game(beta=BETA, **changes):
    return Game(moments(**changes)[-1], torch.tensor(beta, dtype=F64), RIDGE)


def cost(y, A, phi, eps, s, beta=BETA):
    """Return player y's cost as the paper writes it, from what the networks say of its rows."""
    said = phi[y] @ A[y]
    total = (said - eps[y]).square().sum(-1).mean() + RIDGE * A[y].square().sum()
    peers = [z for z in range(len(A)) if z != y]
    for z in peers:
        apart = (said - phi[y] @ A[z].detach()).square().sum(-1)
        total = total + beta * (s[y, :, 0] * apart).mean() / len(peers)
    return total


def weights(players=2, m=12, d=2, seed=1):
    return torch.randn(players, m, d, generator=rng("test", seed), dtype=F64)


def best_response(game, A):
    """Return each player's best weights against its peers in A, where its gradient is zero."""
    others = (A.sum(-3, keepdim=True) - A) / (len(A) - 1)
    return torch.linalg.solve(game.H, game.B + game.mutual @ others)


@pytest.mark.parametrize("players", [2, 3])
def test_gradient_is_that_of_each_players_own_cost(players):
    phi, eps, s, costs = moments(players)
    A = weights(players).requires_grad_()
    total = sum(cost(y, A, phi, eps, s) for y in range(players))
    (expected,) = torch.autograd.grad(total, A)
    mine = Game(costs, torch.tensor(BETA, dtype=F64), RIDGE).gradient(A.detach())
    torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)


def test_loss_and_excess_are_those_of_the_rows():
    phi, eps, s, costs = moments()
    A = weights()
    plain = [float((phi[y] @ A[y] - eps[y]).square().sum(-1).mean()) for y in range(2)]
    assert costs.loss(A).tolist() == pytest.approx(plain, rel=1e-12)
    best = costs.minimiser(RIDGE)
    gap = [float(cost(y, A, phi, eps, s, 0) - cost(y, best, phi, eps, s, 0)) for y in range(2)]
    assert costs.excess_cost(A, RIDGE).tolist() == pytest.approx(gap, rel=1e-10)


@pytest.mark.parametrize("players", [2, 3])
@pytest.mark.parametrize("beta", [0.0, 0.1, 10.0])
def test_equilibrium_is_stationary_and_everybodys_best_response(players, beta):
    mine = game(beta, players=players)
    nash = mine.equilibrium()
    assert float(mine.gradient(nash).abs().max()) < 1e-8
    torch.testing.assert_close(best_response(mine, nash), nash, rtol=0, atol=1e-8)
    assert float(mine.gap(mine.apply_G(nash - nash)).max()) == 0


def test_gap_is_what_a_player_gains_and_positive_off_the_equilibrium():
    phi, eps, s, costs = moments()
    mine, A = Game(costs, torch.tensor(BETA, dtype=F64), RIDGE), weights()
    best, nash = best_response(mine, A), mine.equilibrium()
    gap = mine.gap(mine.apply_G(A - nash))
    for y in range(2):
        turned = A.clone()
        turned[y] = best[y]
        gained = cost(y, A, phi, eps, s) - cost(y, turned, phi, eps, s)
        assert float(gap[y]) == pytest.approx(float(gained), rel=1e-9)
        for seed in range(20):
            other = A.clone()
            other[y] += 0.1 * weights(seed=seed)[y]
            assert cost(y, turned, phi, eps, s) < cost(y, other, phi, eps, s)
    assert (gap > 0).all()


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("players", [2, 3])
def test_squaring_is_updates_one_by_one(players, sequential):
    mine, A = game(players=players), weights(players)
    nash, step = mine.equilibrium(), mine.safe_step()
    updates = (5, 64, 100)
    wanted = {}
    for n in range(1, 101):
        if sequential:
            for y in range(players):
                A = A.clone()
                A[y] -= step * mine.gradient(A)[y]
        else:
            A = A - step * mine.gradient(A)
        wanted[n] = A
    found = dict(mine.errors(weights(players) - nash, mine.step_map(step, sequential), updates))
    assert sorted(found) == [1, 2, 4, 5, 8, 16, 32, 64, 100]
    for n, error in found.items():
        torch.testing.assert_close(nash + error, wanted[n], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("beta", [0.0, 0.7, 10.0])
def test_training_converges_below_the_bound_and_not_above(beta):
    mine = game(beta)
    nash, bound = mine.equilibrium(), mine.step_bound()
    start = weights() - nash

    def last(step, sequential=False):
        P = mine.step_map(step, sequential)
        return float(list(mine.errors(start, P, (2**20,)))[-1][1].norm())

    assert last(0.99 * bound) < 1e-10
    assert not last(1.01 * bound) < float(start.norm())
    safe = mine.safe_step()
    assert 0 < float(safe) <= float(bound) * (1 + 1e-12)
    assert last(0.9 * safe) < 1e-10 and last(0.9 * safe, sequential=True) < 1e-10


def test_gap_falls_along_training_to_nothing():
    mine = game()
    nash = mine.equilibrium()
    P = mine.step_map(mine.safe_step(), sequential=False)
    gaps = [float(mine.gap(mine.apply_G(e)).max()) for _, e in mine.errors(-nash, P, (2**22,))]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-20


def test_without_mutual_term_players_are_alone_to_the_bit():
    """The other player's points, whatever they are, change no bit of this one's training."""
    _, _, _, costs = moments(seed=0)
    other = moments(seed=5)[-1]
    mixed = Costs(*(torch.stack([a[0], b[1]]) for a, b in zip(costs, other, strict=True)))
    paths = []
    for one in (costs, mixed):
        mine = Game(one, torch.tensor(0.0, dtype=F64), RIDGE)
        P = mine.step_map(torch.tensor(0.1, dtype=F64), sequential=False)
        nash = mine.equilibrium()
        paths.append([nash[0], *(e[0] for _, e in mine.errors(-nash, P, (1000,)))])
    assert all(torch.equal(a, b) for a, b in zip(*paths, strict=True))
    alone = torch.linalg.solve(costs.K + RIDGE * torch.eye(12, dtype=F64), costs.B)
    torch.testing.assert_close(paths[0][0], alone[0], rtol=1e-12, atol=1e-12)


def test_many_games_at_once_are_each_alone():
    betas = torch.tensor([0.0, 0.3, 5.0], dtype=F64)
    stacks = [moments(seed=seed)[-1] for seed in range(2)]
    costs = Costs(*(part[:, None] for part in Costs.stack(stacks)))
    many = Game(costs, betas, RIDGE)
    nash, bound, safe = many.equilibrium(), many.step_bound(), many.safe_step()
    assert nash.shape == (2, 3, 2, 12, 2) and bound.shape == safe.shape == (2, 3)
    for seed in range(2):
        for k, beta in enumerate(betas.tolist()):
            one = game(beta, seed=seed)
            torch.testing.assert_close(nash[seed, k], one.equilibrium(), rtol=1e-9, atol=1e-9)
            assert float(bound[seed, k]) == pytest.approx(float(one.step_bound()))
            assert float(safe[seed, k]) == pytest.approx(float(one.safe_step()))


def test_the_number_of_threads_does_not_matter():
    """With some it did: the library's own solver was wrong from about 200 equations on."""
    many = moments(m=130, n=400)[-1]
    betas = torch.tensor([0.0, 0.5, 1.0], dtype=F64)
    mine = Game(Costs(*(part[None] for part in many)), betas, RIDGE)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        nash = mine.equilibrium()
    finally:
        torch.set_num_threads(before)
    assert float(mine.gradient(nash).abs().max()) < 1e-8


def test_an_undetermined_equilibrium_is_refused():
    """Fewer rows than features leave directions that nothing pulls at."""
    costs = moments(n=5)[-1]
    with pytest.raises(LtdmError, match=r"condition .* raise the sweep's ridge"):
        Game(costs, torch.tensor(0.5, dtype=F64), 0.0).equilibrium()
