"""Losses, gradients and costs of all methods, on a tabular network."""

import pytest
import torch

from ltdm.methods import cbdm
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import parse_part
from tests.helpers.methods import (
    COUNTS,
    Net,
    batch,
    double_process,
    generators,
    loss,
    objective,
)


def test_ddpm_loss_is_the_mean_squared_error_of_the_noise():
    process, data, net = double_process(), batch([0, 1, -1, 3]), Net()
    terms = loss(objective("ddpm"), net, data, process, generators())
    rng = generators().shared
    t = process.draw_levels(4, rng)
    noise = torch.randn(data.x0.shape, generator=rng, dtype=torch.float64)
    F = net.rows[data.labels][:, None, None, None]
    torch.testing.assert_close(terms["denoise"], (F - noise).square().mean((1, 2, 3)))
    x, level, labels = net.calls[0]
    torch.testing.assert_close(x, process.corrupt(data.x0, noise, t))
    assert torch.equal(level, t)
    assert torch.equal(labels, data.labels)


@pytest.mark.parametrize("commitment_weight", [0.25, 1.0])
def test_cbdm_loss_and_call(commitment_weight):
    process, data, net = double_process(), batch([0, 1, 2, 3, -1]), Net()
    method = objective({"name": "cbdm", "tau": 0.7, "commitment_weight": commitment_weight})
    terms = loss(method, net, data, process, generators())
    (x, level, labels) = net.calls[0]
    assert len(net.calls) == 1, "both branches share one call"
    assert torch.equal(x[5:], x[:5]), "both branches have the same noisy images"
    assert torch.equal(level[5:], level[:5])
    gap = (net.rows[labels[:4]] - net.rows[labels[5:9]]).square()
    expected = 0.7 * level[:4] / 1000 * (1 + commitment_weight) * gap
    torch.testing.assert_close(terms["balance"][:4], expected.detach(), rtol=1e-6, atol=0)
    assert terms["balance"][4] == 0, "an image without a label has no balance term"


def test_cbdm_without_commitment_needs_one_backward_pass():
    process, data = double_process(), batch([0, 1, 2, 3, -1])
    without, with_commitment = Net(), Net()
    method = objective({"name": "cbdm", "commitment_weight": 0})
    terms = loss(method, without, data, process, generators())
    both = loss(objective("cbdm"), with_commitment, data, process, generators())
    torch.testing.assert_close(1.25 * terms["balance"], both["balance"])
    assert (without.forward, without.backward) == (10, 5)
    for seed in range(20):
        net = Net()
        loss(method, net, batch([2]), process, generators(seed))["balance"].sum().backward()
        if net.calls[1][2] != 2:
            assert (net.rows.grad != 0).tolist() == [False, False, True, False, False]
            return
    raise AssertionError("no other label was drawn")


def test_cbdm_gradient_of_the_second_branch_is_a_quarter():
    process, data = double_process(), batch([2])
    for seed in range(20):
        net = Net()
        loss(objective("cbdm"), net, data, process, generators(seed))["balance"].sum().backward()
        other = net.calls[0][2][1]
        if other != 2:
            own, second = net.rows.grad[2], net.rows.grad[other]
            torch.testing.assert_close(second, -own / 4)
            return
    raise AssertionError("no other label was drawn")


@pytest.mark.parametrize(
    "method",
    [
        {"name": "cbdm", "tau": 0},
        {"name": "igd", "mode": "shared", "beta": 0},
        {"name": "ccua", "ucl": 0, "al": 0},
        {"name": "oclt", "cut_time": 0},
        {"name": "agc", "ratio": 1e9},
        *({"name": name, "weight": 0} for name in ("coral", "diffrop", "dispersive")),
    ],
)
def test_a_method_of_strength_0_equals_ddpm_bitwise_and_costs_no_more(method):
    process, data = double_process(), batch([0, 1, -1, 3], classes=[0, 1, 2, 3])
    plain, other = Net(), Net()
    loss(objective("ddpm"), plain, data, process, generators())["denoise"].sum().backward()
    terms = loss(objective(method), other, data, process, generators())
    assert [len(x) for x, _, _ in other.calls] == [4], "no needless evaluation"
    sum(t.sum() for t in terms.values()).backward()
    assert torch.equal(plain.rows.grad, other.rows.grad)


@pytest.mark.parametrize(
    ("options", "distribution"),
    [
        (cbdm.Options(), [0.5, 0.3, 0.15, 0.05]),
        (cbdm.Options(label_distribution="uniform"), [0.25] * 4),
        (cbdm.Options(label_distribution="power", power=0.5), [c**0.5 for c in COUNTS]),
        (cbdm.Options(label_distribution="power", power=-1.0), [1 / c for c in COUNTS]),
    ],
)
def test_cbdm_draws_second_labels_from_q(options, distribution):
    n, rng = 40_000, generators().shared
    counts = torch.bincount(cbdm.build(options, COUNTS).draw_labels(n, rng), minlength=4)
    expected = n * torch.tensor(distribution).double() / sum(distribution)
    chi2 = ((counts - expected).square() / expected).sum()
    assert chi2 < 16.27, "3 degrees of freedom: one chance in a thousand"


@pytest.mark.parametrize("label", [[-1], [-1, -1]])
@pytest.mark.parametrize(
    "name",
    [
        "cbdm",
        "ccua",
        {"name": "igd", "mode": "shared"},
        {"name": "diffrop", "form": "counterfactual"},
    ],
)
def test_terms_are_zero_if_all_labels_are_dropped(name, label):
    net = Net()
    terms = loss(objective(name), net, batch(label), double_process(), generators())
    for term in ("balance", "align", "mutual", "overlap"):
        assert term not in terms or terms[term].tolist() == [0.0] * len(label)


def test_terms_add_up_in_one_call():
    """OC-LT, CBDM and AGC together: the target, branch and weights of each, in one call."""
    process, data = double_process(), batch([0, 1, 2, 3, -1], classes=[0, 1, 2, 3, 2])
    net = Net()
    method = objective("oclt", {"name": "cbdm", "tau": 0.5}, "agc")
    terms = loss(method, net, data, process, generators())
    assert set(terms) == {"denoise", "balance"}
    assert [len(x) for x, _, _ in net.calls] == [10]
    oclt = loss(objective("oclt"), Net(), data, process, generators())
    torch.testing.assert_close(terms["denoise"], oclt["denoise"])
    _, level, labels = net.calls[0]
    gap = (net.rows[labels[:4]] - net.rows[labels[5:9]]).square()
    torch.testing.assert_close(terms["balance"][:4], 0.5 * level[:4] / 1000 * 1.25 * gap)
    assert method.remembered[2].bank.sum() > 0


@pytest.mark.parametrize(
    ("methods", "counts", "message"),
    [
        (["igd", "cbdm"], COUNTS, "method: igd draws batches of its own"),
        (["igd"], [5], "method.beta: needs another class"),
        ([{"name": "igd", "peers": {"sample": 4}}], COUNTS, "is 4, but a class has only 3 peers"),
    ],
)
def test_methods_that_do_not_suit_each_other_or_the_data(methods, counts, message):
    with pytest.raises(OptionError, match=message):
        objective(*methods, counts=counts)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "igd", "tau": 0.1}, "tau: is an option of cbdm, not of igd, whose own are: mode"),
        ({"name": "cbdm", "beta": 1}, "beta: is an option of igd, not of cbdm"),
        ({"name": "oclt", "tua": 1}, "tua: unknown key; known: cut_time, mode, tr_tau"),
        ({"name": "igd", "peers": 3}, r"peers: must be all or \{sample: k\}, not 3"),
        ({"name": "igd", "peers": {"sample": 0}}, "peers.sample: must be a whole number from 1"),
    ],
)
def test_wrong_options(value, message):
    with pytest.raises(OptionError, match=message):
        parse_part("method", value, ())
