import pytest
import torch

from ltdm.diffusion import vp
from ltdm.methods import cbdm
from ltdm.methods._objective import evaluations
from ltdm.networks import unet
from ltdm.networks._players import Players
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import parse_part
from tests.helpers.methods import COUNTS, CPU, Net, batch, double_process, loss, objective, streams


def test_ddpm_is_the_mean_squared_error_of_the_noise():
    process, data, net = double_process(), batch([0, 1, -1, 3]), Net()
    terms = loss(objective("ddpm"), net, data, process, streams())
    rng = streams().device
    t = process.draw(4, rng)
    noise = torch.randn(data.x0.shape, generator=rng, dtype=torch.float64)
    said = net.rows[data.labels][:, None, None, None]
    torch.testing.assert_close(terms["denoise"], (said - noise).square().mean((1, 2, 3)))
    x, level, labels = net.calls[0]
    torch.testing.assert_close(x, process.corrupt(data.x0, noise, t))
    assert torch.equal(level, t)
    assert torch.equal(labels, data.labels)


@pytest.mark.parametrize("commitment_weight", [0.25, 1.0])
def test_cbdm_value(commitment_weight):
    process, data, net = double_process(), batch([0, 1, 2, 3, -1]), Net()
    method = objective({"name": "cbdm", "tau": 0.7, "commitment_weight": commitment_weight})
    terms = loss(method, net, data, process, streams())
    (x, level, labels) = net.calls[0]
    assert len(net.calls) == 1, "one call of the network"
    assert torch.equal(x[5:], x[:5]), "the second branch sees the same noisy images"
    assert torch.equal(level[5:], level[:5])
    gap = (net.rows[labels[:4]] - net.rows[labels[5:9]]).square()
    expected = 0.7 * level[:4] / 1000 * (1 + commitment_weight) * gap
    torch.testing.assert_close(terms["balance"][:4], expected.detach(), rtol=1e-6, atol=0)
    assert terms["balance"][4] == 0, "an image without a label is not balanced"


def test_cbdm_without_the_commitment_term_pays_for_one_backward_pass():
    process, data = double_process(), batch([0, 1, 2, 3, -1])
    alone, whole = Net(), Net()
    method = objective({"name": "cbdm", "commitment_weight": 0})
    terms = loss(method, alone, data, process, streams())
    both = loss(objective("cbdm"), whole, data, process, streams())
    torch.testing.assert_close(1.25 * terms["balance"], both["balance"])
    assert (alone.forward, alone.backward) == (10, 5)
    for seed in range(20):
        one = Net()
        loss(method, one, batch([2]), process, streams(seed))["balance"].sum().backward()
        if one.calls[1][2] != 2:
            assert (one.rows.grad != 0).tolist() == [False, False, True, False, False]
            return
    raise AssertionError("no other label was drawn")


def test_cbdm_gradients_of_the_two_branches_are_one_to_a_quarter():
    process, data = double_process(), batch([2])
    for seed in range(20):
        net = Net()
        loss(objective("cbdm"), net, data, process, streams(seed))["balance"].sum().backward()
        other = net.calls[0][2][1]
        if other != 2:
            own, moved = net.rows.grad[2], net.rows.grad[other]
            torch.testing.assert_close(moved, -own / 4)
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
    ],
)
def test_a_method_without_strength_is_ddpm_to_the_bit_and_costs_no_more(method):
    process, data = double_process(), batch([0, 1, -1, 3], classes=[0, 1, 2, 3])
    plain, other = Net(), Net()
    loss(objective("ddpm"), plain, data, process, streams())["denoise"].sum().backward()
    terms = loss(objective(method), other, data, process, streams())
    assert [len(x) for x, _, _ in other.calls] == [4], "no evaluation that nothing needs"
    sum(t.sum() for t in terms.values()).backward()
    assert torch.equal(plain.rows.grad, other.rows.grad)


@pytest.mark.parametrize(
    ("options", "law"),
    [
        (cbdm.Options(), [0.5, 0.3, 0.15, 0.05]),
        (cbdm.Options(label_distribution="uniform"), [0.25] * 4),
        (cbdm.Options(label_distribution="power", power=0.5), [c**0.5 for c in COUNTS]),
        (cbdm.Options(label_distribution="power", power=-1.0), [1 / c for c in COUNTS]),
    ],
)
def test_cbdm_draws_the_other_label_from_its_law(options, law):
    n, rng = 40_000, streams().device
    drawn = torch.bincount(cbdm.build(options, COUNTS).draw_labels(n, rng), minlength=4)
    expected = n * torch.tensor(law).double() / sum(law)
    chi2 = ((drawn - expected).square() / expected).sum()
    assert chi2 < 16.27, "3 degrees of freedom, one chance in a thousand"


@pytest.mark.parametrize("label", [[-1], [-1, -1]])
@pytest.mark.parametrize("name", ["cbdm", "ccua", {"name": "igd", "mode": "shared"}])
def test_every_label_dropped(name, label):
    net = Net()
    terms = loss(objective(name), net, batch(label), double_process(), streams())
    for term in ("balance", "align", "mutual"):
        assert term not in terms or terms[term].tolist() == [0.0] * len(label)


# The cost table of the methods: forward and backward passes an image, and encoder passes.
COSTS = [
    ("ddpm", 10, (1, 1, 0)),
    ("cbdm", 10, (2, 2, 0)),
    ({"name": "cbdm", "commitment_weight": 0}, 10, (2, 1, 0)),
    ({"name": "igd", "mode": "shared"}, 10, (10, 1, 0)),
    ({"name": "igd", "mode": "shared"}, 100, (100, 1, 0)),
    ({"name": "igd", "mode": "shared", "peers": {"sample": 1}}, 10, (2, 1, 0)),
    ({"name": "igd", "mode": "released"}, 10, (10, 1, 0)),
    ({"name": "igd", "mode": "released", "beta": 0}, 10, (1, 1, 0)),
    ({"name": "igd", "mode": "separate"}, 10, (10, 1, 0)),
    ({"name": "igd", "mode": "separate"}, 100, (100, 1, 0)),
    ({"name": "igd", "mode": "separate", "peers": {"sample": 1}}, 10, (2, 1, 0)),
    ({"name": "igd", "mode": "separate", "beta": 0}, 10, (1, 1, 0)),
    ("agc", 10, (1, 1, 0)),
    ("oclt", 10, (1, 1, 0)),
    ("ccua", 10, (2, 2, 0)),
    ({"name": "ccua", "al": 0}, 10, (1, 1, 1)),
]


@pytest.mark.parametrize(("method", "classes", "cost"), COSTS)
def test_evaluations_are_those_that_are_made(method, classes, cost):
    """Forward passes are counted at the network's door, backward ones by a hook on its output."""
    whole = objective(method, counts=[5] * classes)
    found = evaluations([parse_part("method", method, ())], classes)
    assert (found.forward, found.backward, found.encoder) == cost
    options = unet.Options(ch=4, norm_groups=2, ch_mult=(1,), attn=(), num_res_blocks=1)
    if whole.players:
        net = Players([unet.build(options, 1, 4, 0) for _ in range(classes)])
    else:
        net = unet.build(options, 1, 4, classes)
    predict, passes = Predictor(net, CPU, "fp32"), []
    net.register_forward_hook(lambda *seen: _watch(seen[2], passes))
    images = 500 if classes == 10 else 200
    labels = torch.arange(images) * classes // images
    if not whole.players:
        labels[::10] = -1
    data = batch(labels, x0=torch.zeros(images, 1, 4, 4))
    terms = loss(whole, predict, data, vp.build(vp.Options()), streams())
    sum(t.mean() for t in terms.values()).backward()
    assert tuple(predict.counted(images).values()) == cost
    assert sum(passes) / images == cost[1] + cost[2]


def _watch(output, passes):
    F = output[0] if isinstance(output, tuple) else output
    if F.requires_grad:
        F.register_hook(lambda gradient: passes.append(len(gradient)))


def test_terms_add_up_in_one_call():
    """OC-LT + CBDM + AGC: the target, the branch and the weights of each, one call of the net."""
    process, data = double_process(), batch([0, 1, 2, 3, -1], classes=[0, 1, 2, 3, 2])
    net = Net()
    method = objective("oclt", {"name": "cbdm", "tau": 0.5}, "agc")
    terms = loss(method, net, data, process, streams())
    assert set(terms) == {"denoise", "balance"}
    assert [len(x) for x, _, _ in net.calls] == [10]
    alone = loss(objective("oclt"), Net(), data, process, streams())
    torch.testing.assert_close(terms["denoise"], alone["denoise"])
    _, level, labels = net.calls[0]
    gap = (net.rows[labels[:4]] - net.rows[labels[5:9]]).square()
    torch.testing.assert_close(terms["balance"][:4], 0.5 * level[:4] / 1000 * 1.25 * gap)
    assert method.remembered[2].bank.sum() > 0


@pytest.mark.parametrize(
    ("methods", "counts", "message"),
    [
        (["igd", "cbdm"], COUNTS, "method: igd decides what a batch is and goes with no other"),
        (["igd"], [5], "method.beta: needs another class to learn from"),
        ([{"name": "igd", "peers": {"sample": 4}}], COUNTS, "is 4, but a class has only 3 peers"),
    ],
)
def test_methods_that_do_not_fit(methods, counts, message):
    with pytest.raises(OptionError, match=message):
        objective(*methods, counts=counts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "igd", "tau": 0.1}, "tau: is an option of cbdm, not of igd, whose own are: mode"),
        ({"name": "cbdm", "beta": 1}, "beta: is an option of igd, not of cbdm"),
        ({"name": "oclt", "tua": 1}, "tua: unknown key; known: cut_time, mode, tr_tau"),
        ({"name": "igd", "peers": 3}, r"peers: must be all or \{sample: k\}, not 3"),
        ({"name": "igd", "peers": {"sample": 0}}, "peers.sample: must be a whole number from 1"),
    ],
)
def test_options_that_are_wrong(given, message):
    with pytest.raises(OptionError, match=message):
        parse_part("method", given, ())
