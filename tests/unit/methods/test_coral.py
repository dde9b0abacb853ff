"""CORAL: the supervised contrastive loss by hand, its weights, and its own layer."""

import math

import pytest
import torch
from torch import nn

from ltdm.config.experiment import Experiment
from ltdm.diffusion import edm
from ltdm.methods import coral
from ltdm.methods._base import make_noisy
from ltdm.methods._objective import evaluations
from ltdm.networks import unet
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import parse_part
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.methods import Net, batch, double_process, generators, objective
from tests.helpers.smoke_config import check_refused, edited
from tests.helpers.training import CPU, SPEC, data

D = torch.float64


def contrast(raw, classes, temperature=0.12, used=None):
    z = nn.functional.normalize(torch.as_tensor(raw, dtype=D), dim=1)
    used = None if used is None else torch.tensor(used)
    return coral.supervised_contrast(z, torch.tensor(classes), temperature, used)


def test_golden_values_and_gradient():
    raw = torch.tensor([[1.0, 0], [0, 1], [1, 1], [-1, 0]], dtype=D, requires_grad=True)
    z = nn.functional.normalize(raw, dim=1)
    losses = coral.supervised_contrast(z, torch.tensor([0, 0, 1, 1]), 0.5)
    assert losses.tolist() == pytest.approx([1.6580, 1.8105, 3.5507, 1.7352], abs=5e-5)
    losses.mean().backward()
    expected = [[0, -0.3742], [-0.8579, 0], [0.3369, -0.3369], [0, -0.1901]]
    torch.testing.assert_close(raw.grad, torch.tensor(expected, dtype=D), rtol=0, atol=5e-5)


def test_equal_embeddings():
    losses = contrast(torch.ones(6, 3), [0, 0, 0, 1, 1, 2])
    assert losses.tolist() == pytest.approx([*[math.log(5)] * 5, 0.0])


@pytest.mark.parametrize(("m", "B", "expected"), [(2, 8, 0.00144118), (3, 12, 0.69422826)])
def test_classes_on_orthogonal_axes(m, B, expected):
    axes = torch.eye(B // m).repeat_interleave(m, 0)
    losses = contrast(axes, torch.arange(B // m).repeat_interleave(m).tolist())
    assert losses.tolist() == pytest.approx([expected] * B, abs=1e-8)
    assert expected == pytest.approx(math.log(m - 1 + (B - m) * math.exp(-1 / 0.12)), abs=1e-8)


def test_classes_on_a_simplex():
    corners = torch.eye(4) - 0.25
    losses = contrast(corners.repeat_interleave(2, 0), [0, 0, 1, 1, 2, 2, 3, 3])
    assert losses.tolist() == pytest.approx([8.966801e-5] * 8, rel=1e-6)


@pytest.mark.parametrize("classes", [[1, 1, 1, 1], [0, 1, 2, 3]])
def test_without_pairs_of_one_class_or_of_two_there_is_no_loss(classes):
    raw = torch.randn(4, 3, dtype=D, requires_grad=True)
    losses = contrast(raw, classes)
    losses.sum().backward()
    assert losses.tolist() == [0.0] * 4
    assert raw.grad.tolist() == [[0.0] * 3] * 4, "and no NaN"


def test_an_image_without_another_of_its_class_repels_but_is_no_anchor():
    raw = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    losses = contrast(raw, [0, 0, 1, 2, 3])
    assert (losses > 0).tolist() == [True, True, False, False, False]
    assert losses[0] > contrast(raw[:3], [0, 0, 1])[0]


@pytest.mark.parametrize(("classes", "mean", "tail"), [(10, 0.990, 0.40), (100, 0.843, 0.057)])
def test_images_of_rare_classes_are_seldom_anchors(classes, mean, tail):
    """The docstring's shares of the rarest class in batches of 128, and the same from draws."""
    counts = torch.tensor(
        [int(50_000 / classes * 0.01 ** (k / (classes - 1))) for k in range(classes)]
    )
    share = counts / counts.sum()
    expected = 1 - (1 - share) ** 127  # that one of the 127 others is of the same class
    assert expected[-1].item() == pytest.approx(tail, abs=2e-3)
    rng, images, anchors = torch.Generator().manual_seed(0), 0, 0
    for _ in range(300):
        labels = share.multinomial(128, replacement=True, generator=rng)
        losses = coral.supervised_contrast(torch.eye(128), labels, 0.12)
        images, anchors = images + 128, anchors + (losses > 0).sum().item()
    assert (share @ expected).item() == pytest.approx(mean, abs=1e-3)
    assert anchors / images == pytest.approx(mean, abs=5e-3)


def test_unused_rows_are_as_absent():
    raw = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=D)
    used, classes = [True, False, True, True, False, True], [0, 0, 1, 0, 1, 1]
    losses = contrast(raw, classes, used=used)
    kept = contrast(raw[used], [c for c, u in zip(classes, used, strict=True) if u])
    torch.testing.assert_close(losses[used], kept)
    assert losses[[1, 4]].tolist() == [0.0, 0.0]


class Flat(nn.Module):
    """What `bind` asks of a network; the bottleneck of the tests' table has 5 numbers."""

    bottleneck_width = 5


def losses_of(options, labels, classes, process=None):
    """Return the draws, the own bottleneck's unit projections, and the losses of a batch."""
    method, net = objective({"name": "coral", **options}), Net()
    method.bind(Flat(), 0)
    method.double()
    process, rng = process or double_process(), generators()
    data = batch(labels, classes)._replace(level=process.draw_levels(len(labels), rng.shared))
    draws = method.draw(data, process, rng)
    _, z = net.all_outputs(*draws.noisy.inputs)
    projected = nn.functional.normalize(method.terms[0].projection(z), dim=1)
    return draws.noisy, projected, method.loss(net, process, draws)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("dropped", ["skip", "use"])
def test_released_and_papers_weights(per_image, rescale, dropped):
    options = {"weight": 0.3, "temperature": 0.2, "decay": 0.8, "dropped": dropped}
    options |= {"per_image": per_image, "rescale": rescale}
    labels, classes = [0, 1, -1, 2, 0, 1], [0, 1, 1, 2, 0, 1]
    noisy, z, losses = losses_of(options, labels, classes)
    used = noisy.has_label if dropped == "skip" else torch.ones(6, dtype=torch.bool)
    by_image = coral.supervised_contrast(z, torch.tensor(classes), 0.2, used)
    strength = ((1 - noisy.progress) / 0.8).exp()
    if not per_image:
        strength = strength.mean().expand(6)
    anchors = by_image > 0
    expected = 0.3 * (0.2 if rescale else 1) * (strength * by_image)[anchors].mean()
    torch.testing.assert_close(losses["class_contrast"].mean(), expected)
    assert anchors.sum() == (4 if dropped == "skip" else 5)


def test_the_weight_is_largest_at_low_noise_also_for_edm():
    process = edm.build(edm.Options(logvar="none"))
    noisy, _, losses = losses_of({"per_image": True}, [0, 0, 1, 1], [0, 0, 1, 1], process)
    assert losses["class_contrast"].isfinite().all()
    assert noisy.progress.min() < noisy.progress.max()


def test_the_paper_s_mean_weight_is_small():
    t = torch.arange(1000, dtype=D) / 1000
    for decay, mean in ((0.3, 8.123), (0.8, 1.9935), (1.0, 1.7191)):
        assert ((1 - t) / decay).exp().mean().item() == pytest.approx(mean, abs=1e-3)


def trainer_of(method, **train):
    spec = {**SPEC, "method": method, "train": {**SPEC["train"], **train}}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


def test_weight_0_is_ddpm_and_the_layer_has_a_stream_of_its_own():
    plain, off, on = (
        trainer_of(m) for m in ("ddpm", {"name": "coral", "weight": 0}, {"name": "coral"})
    )
    assert not [*off.method.parameters()]
    for net in (off.net, on.net):
        for own, other in zip(plain.net.parameters(), net.parameters(), strict=True):
            assert torch.equal(own, other)
    for _ in range(3):
        plain.step()
        off.step()
    assert all(map(torch.equal, plain.net.parameters(), off.net.parameters()))
    layer = on.method.terms[0].projection
    assert sum(p.numel() for p in layer.parameters()) == (on.net.bottleneck_width + 1) * 128


def test_the_layer_learns_and_resumes():
    whole, part, rest = (trainer_of({"name": "coral", "weight": 1.0}) for _ in range(3))
    start = whole.method.terms[0].projection.weight.detach().clone()
    for _ in range(6):
        whole.step()
    for _ in range(3):
        part.step()
    rest.resume(part.state())
    for _ in range(3):
        rest.step()
    for name in ("net", "method"):
        a, b = (getattr(t, name).parameters() for t in (whole, rest))
        assert all(map(torch.equal, a, b))
    assert not torch.equal(whole.method.terms[0].projection.weight, start)


def test_it_evaluates_the_network_once_and_composes():
    method = [parse_part("method", m, ()) for m in ("coral", "oclt", "agc")]
    assert evaluations(method, 10).forward == 1
    learner = trainer_of(["coral", "cbdm", "ccua"])
    learner.step()
    assert {"class_contrast", "balance", "contrast", "align"} < {*learner.loss_sums}
    assert learner.calls_per_image()["forward"] == 3


def test_the_paper_s_size():
    net = unet.build(unet.Options(), 3, 32, 10)
    term = coral.build(coral.Options(), [10, 5])
    term.bind(net, 0)
    assert sum(p.numel() for p in term.parameters()) == 32_896


def test_a_single_class_is_refused():
    with pytest.raises(OptionError, match="only one"):
        objective("coral", counts=[30])


def test_a_network_that_states_no_bottleneck_width_is_refused_before_training(monkeypatch):
    def build(*arguments):
        net = original(*arguments)
        del net.bottleneck_width
        return net

    original = unet.build
    monkeypatch.setattr(unet, "build", build)
    Experiment(edited("runs/ddpm/method", "ccua"))
    Experiment(edited("runs/ddpm/method", {"name": "coral", "weight": 0}))
    combined = edited("runs/ddpm/method", ["cbdm", "coral"])
    message = "unet has no `bottleneck_width`, and cbdm and coral cannot do without it"
    check_refused(combined, "network.name", message)


def test_it_needs_the_true_classes_of_dropped_images():
    data_, process = batch([-1, -1], classes=[2, 1]), double_process()
    noisy = make_noisy(data_, process, torch.zeros_like(data_.x0))
    assert noisy.classes.tolist() == [2, 1]
