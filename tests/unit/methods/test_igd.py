"""Mutual learning: losses, peers, and unbiasedness of sampled peers."""

import pytest
import torch

from ltdm.methods._base import Prediction, draw_noise, make_noisy
from tests.helpers.methods import (
    COUNTS,
    Net,
    Table,
    batch,
    double_process,
    generators,
    loss,
    objective,
    with_levels,
)

LABELS = [0, 1, 2, 3, -1]


def shared(**options):
    return objective({"name": "igd", "mode": "shared", "beta": 0.7, **options})


def shared_of(classes):
    return objective({"name": "igd", "mode": "shared"}, counts=[5] * classes)


def run(method, seed=0, labels=LABELS):
    """Return the losses, and the network with the gradient of the mutual loss."""
    net = Net()
    terms = loss(method, net, batch(labels), double_process(), generators(seed))
    terms["mutual"].sum().backward()
    return terms, net


def gaps(net):
    """Return the mean over the other classes of the squared difference, (4,)."""
    rows = net.rows.detach()[:4]
    return ((rows[:, None] - rows[None]) ** 2).sum(1) / 3


def test_mutual_loss_is_the_mean_over_all_other_classes():
    terms, net = run(shared())
    level = net.calls[0][1]
    expected = 0.7 * level[:4] / 1000 * gaps(net)
    torch.testing.assert_close(terms["mutual"][:4], expected)
    assert terms["mutual"][4] == 0
    assert [len(x) for x, _, _ in net.calls] == [5, 15], "the peers share one call"


def test_calls_for_peers_have_512_rows_or_a_little_more():
    """A call takes four batches of 128 rows, or up to seven if that leaves no rest."""
    for peers, sizes in (
        (1, [128]),
        (3, [384]),
        (6, [768]),
        (8, [512, 512]),
        (10, [640, 640]),
        (11, [512, 512, 384]),
        (199, [512] * 49 + [384]),
    ):
        method, net = shared_of(peers + 1), Net(Table([0.1] * (peers + 2)))
        loss(method, net, batch([0] * 128), double_process(), generators())
        assert [len(x) for x, _, _ in net.calls[1:]] == sizes


def test_peers_get_no_gradient():
    """The gradient of player y's cost is 2 beta s mean(F_y - F_y') for y, and 0 for others."""
    _, net = run(shared(), labels=[1])
    rows, s = net.rows.detach()[:4], net.calls[0][1] / 1000
    assert net.rows.grad[1] == pytest.approx((0.7 * s * 2 * (rows[1] - rows).sum() / 3).item())
    assert (net.rows.grad[[0, 2, 3, 4]] == 0).all()
    assert (net.forward, net.backward) == (4, 1)


def test_released_mode_divides_by_the_number_of_peers_twice():
    plain, _ = run(shared())
    released, _ = run(shared(mode="released"))
    torch.testing.assert_close(released["mutual"], plain["mutual"] / 3)


@pytest.mark.parametrize(
    "options",
    [{"peers": {"sample": 1}}, {"peers": {"sample": 2}}],
)
def test_sampled_peers_are_unbiased(options):
    """Loss and gradient of each image, at fixed levels, have their exact means over draws of peers.

    Four losses and four gradients lie within 4.5 standard errors: chance fails one in 18,000 runs.
    """
    n = 20_000
    draws, exact = _losses_and_gradients(options, n), _losses_and_gradients({}, 1)[0]
    assert (draws[:, [4, 9]] == 0).all(), "without a label there are no peers"
    std = draws.std(0)[[0, 1, 2, 3, 5, 6, 7, 8]]
    error = (draws.mean(0) - exact)[[0, 1, 2, 3, 5, 6, 7, 8]] / (std / n**0.5)
    assert error.abs().max() < 4.5


def _losses_and_gradients(options, n):
    """Draw peers n times for five images; return losses and gradients by F, (n, 10)."""
    (term,), process, data = shared(**options).terms, double_process(), batch(LABELS * n)
    process.draw_levels = lambda size, rng: torch.tensor([100, 400, 700, 950, 500]).repeat(n)
    rng, net = generators(), Net()
    noisy = make_noisy(with_levels(data, process, rng), process, draw_noise(data.x0, rng))
    own = net(*noisy.inputs).detach().requires_grad_()
    query = term.query(noisy, data, rng)
    other = net(*noisy.inputs.repeat_with(query.labels)).detach()
    none = torch.empty(0)
    losses = term.extra_losses(noisy, Prediction(own, none), query, Prediction(other, none))[
        "mutual"
    ]
    losses.sum().backward()
    return torch.cat([losses.detach().view(n, 5), own.grad.sum((1, 2, 3)).view(n, 5)], dim=1)


def test_sampled_peers_are_different_other_classes():
    method = objective({"name": "igd", "mode": "shared", "peers": {"sample": 3}}, counts=[5] * 6)
    shifts = method.terms[0].draw_shifts(3, 2000, generators().shared)
    assert shifts.min() == 1 and shifts.max() == 5
    assert all(len(set(column.tolist())) == 3 for column in shifts.T)
    counts = torch.bincount(shifts.flatten(), minlength=6)[1:].double()
    assert ((counts - 1200) ** 2 / 1200).sum() < 18.5, (
        "4 degrees of freedom: one chance in a thousand"
    )


def test_peers_of_separate_networks_are_unbiased():
    """At each position of a class's block, every other class is drawn equally often."""
    method = objective({"name": "igd", "peers": {"sample": 2}}, counts=COUNTS)
    data, n = batch([y for y in range(4) for _ in range(3)]), 3000
    counts, rng = torch.zeros(12, 4, dtype=torch.float64), generators()
    rows = torch.arange(12).repeat(2)
    for _ in range(n):
        query = method.terms[0].query(None, data, rng)
        counts.index_put_((rows, query.labels), torch.tensor(1.0).double(), True)
    own = torch.nn.functional.one_hot(data.classes, 4).bool()
    assert (counts[own] == 0).all()
    expected = 2 * n / 3
    error = (counts[~own] - expected) / (expected * (1 - 2 / 3)) ** 0.5
    assert error.abs().max() < 4.5, "36 frequencies: one chance in four thousand"


def test_separate_networks_have_equal_numbers_of_rows():
    """Each network is evaluated on as many images of other classes as every other network."""
    method = objective({"name": "igd", "peers": {"sample": 2}}, counts=COUNTS)
    labels = [y for y in range(4) for _ in range(6)]
    data = batch(labels)
    query = method.terms[0].query(None, data, generators())
    for peer_labels in query.labels.split(len(labels)):
        assert torch.bincount(peer_labels).tolist() == [6] * 4
    assert (query.labels.view(2, -1) != data.classes).all()
    assert method.network_per_class and not method.needs_conditional_network
