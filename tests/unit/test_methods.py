import pytest
import torch
from torch import nn

from ltdm.diffusion import vp
from ltdm.methods import cbdm, ddpm
from ltdm.methods._base import Batch
from ltdm.networks import unet
from ltdm.networks._predictor import Predictor

CPU = torch.device("cpu")
COUNTS = [50, 30, 15, 5]


class Table(nn.Module):
    """A denoiser that says one learnt number a class, whatever it sees; row -1 has no label."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Parameter(torch.tensor([0.3, -0.7, 1.1, 0.2, 0.5], dtype=torch.float64))
        self.calls = []

    def forward(self, x, level, labels, augment=None):
        self.calls.append((x, level, labels))
        return self.rows[labels][:, None, None, None].expand_as(x)


def double_process():
    process = vp.build(vp.Options())
    process.signal, process.std = process.signal.double(), process.std.double()
    return process


def batch(labels):
    y = torch.tensor(labels)
    x0 = torch.linspace(-1, 1, len(y) * 4, dtype=torch.float64).reshape(-1, 1, 2, 2)
    return Batch(x0, y, (y >= 0).nonzero()[:, 0])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_ddpm_is_the_mean_squared_error_of_the_noise():
    process, data, net = double_process(), batch([0, 1, -1, 3]), Table()
    terms = ddpm.build(ddpm.Options(), COUNTS).loss(net, data, process, generator())
    rng = generator()
    t = process.draw(4, rng)
    noise = torch.randn(data.x0.shape, generator=rng, dtype=torch.float64)
    said = net.rows[data.labels][:, None, None, None]
    torch.testing.assert_close(terms["denoise"], (said - noise).square().mean((1, 2, 3)))
    x, level, labels = net.calls[0]
    torch.testing.assert_close(x, process.corrupt(data.x0, noise, t))
    assert torch.equal(level, t)
    assert torch.equal(labels, data.labels)


@pytest.mark.parametrize("rc_weight", [0.25, 1.0])
def test_cbdm_value(rc_weight):
    process, data, net = double_process(), batch([0, 1, 2, 3, -1]), Table()
    method = cbdm.build(cbdm.Options(tau=0.7, rc_weight=rc_weight), COUNTS)
    terms = method.loss(net, data, process, generator())
    (x, level, labels) = net.calls[0]
    assert len(net.calls) == 1, "one call of the network"
    assert torch.equal(x[5:], x[:4]), "the second branch sees the same noisy images"
    assert torch.equal(level[5:], level[:4])
    gap = (net.rows[labels[:4]] - net.rows[labels[5:]]).square()
    expected = 0.7 * level[:4] / 1000 * (1 + rc_weight) * gap
    torch.testing.assert_close(terms["balance"][:4], expected.detach(), rtol=1e-6, atol=0)
    assert terms["balance"][4] == 0, "an image without a label is not balanced"


def test_cbdm_without_the_commitment_term_pays_for_one_backward_pass():
    process, data = double_process(), batch([0, 1, 2, 3, -1])
    method = cbdm.build(cbdm.Options(rc_weight=0.0), COUNTS)
    alone, whole = Table(), Table()
    terms = method.loss(alone, data, process, generator())
    both = cbdm.build(cbdm.Options(), COUNTS).loss(whole, data, process, generator())
    torch.testing.assert_close(1.25 * terms["balance"], both["balance"])
    assert [len(x) for x, _, _ in alone.calls] == [4, 5]
    terms["balance"].sum().backward()
    others = set(alone.calls[0][2].tolist()) - set(alone.calls[1][2].tolist())
    assert all(alone.rows.grad[y] == 0 for y in others)


def test_cbdm_gradients_of_the_two_branches_are_one_to_a_quarter():
    process, data = double_process(), batch([2])
    method = cbdm.build(cbdm.Options(), COUNTS)
    for seed in range(20):
        net = Table()
        method.loss(net, data, process, generator(seed))["balance"].sum().backward()
        other = net.calls[0][2][1]
        if other != 2:
            own, moved = net.rows.grad[2], net.rows.grad[other]
            torch.testing.assert_close(moved, -own / 4)
            return
    raise AssertionError("no other label was drawn")


def test_cbdm_without_tau_is_ddpm():
    process, data = double_process(), batch([0, 1, -1, 3])
    plain, balanced = Table(), Table()
    ddpm.build(ddpm.Options(), COUNTS).loss(plain, data, process, generator())[
        "denoise"
    ].sum().backward()
    terms = cbdm.build(cbdm.Options(tau=0.0), COUNTS).loss(balanced, data, process, generator())
    assert [len(x) for x, _, _ in balanced.calls] == [4], "no evaluation that nothing needs"
    sum(t.sum() for t in terms.values()).backward()
    torch.testing.assert_close(plain.rows.grad, balanced.rows.grad, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "law"),
    [
        (cbdm.Options(), [0.5, 0.3, 0.15, 0.05]),
        (cbdm.Options(target="uniform"), [0.25] * 4),
        (cbdm.Options(target="power", power=0.5), [c**0.5 for c in COUNTS]),
        (cbdm.Options(target="power", power=-1.0), [1 / c for c in COUNTS]),
    ],
)
def test_cbdm_draws_the_other_label_from_its_law(options, law):
    n = 40_000
    drawn = torch.bincount(cbdm.build(options, COUNTS).draw_labels(n, generator()), minlength=4)
    expected = n * torch.tensor(law).double() / sum(law)
    chi2 = ((drawn - expected).square() / expected).sum()
    assert chi2 < 16.27, "3 degrees of freedom, one chance in a thousand"


def test_evaluations_are_one_for_ddpm_and_two_less_the_dropped_for_cbdm():
    net = unet.build(unet.Options(ch=8, groups=4, ch_mult=(1,), attn=(), num_res_blocks=1), 1, 4, 4)
    process, data = vp.build(vp.Options()), batch([0, 1, 2, 3, 0, 1, 2, 3, 0, -1])
    data = data._replace(x0=data.x0.float())
    for method, evaluations in ((ddpm, 10), (cbdm, 19)):
        forward, backward = Predictor(net, CPU, "fp32"), []
        net.zero_grad()
        terms = method.build(method.Options(), COUNTS).loss(
            lambda *a, f=forward, b=backward: _count_gradient(f(*a), b), data, process, generator()
        )
        sum(t.mean() for t in terms.values()).backward()
        assert forward.evaluations == evaluations
        assert backward == [evaluations]


def _count_gradient(output, seen):
    output.register_hook(lambda gradient: seen.append(len(gradient)))
    return output


@pytest.mark.parametrize("label", [[-1], [-1, -1]])
def test_cbdm_with_every_label_dropped(label):
    terms = cbdm.build(cbdm.Options(), COUNTS).loss(
        Table(), batch(label), double_process(), generator()
    )
    assert terms["balance"].tolist() == [0.0] * len(label)
