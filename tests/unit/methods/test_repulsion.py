"""DiffROP and the dispersive loss: values and gradients by hand, calls, and refusals."""

import pytest
import torch

from ltdm.methods import diffrop, dispersive
from ltdm.methods._base import NoisyBatch, Prediction, Query
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import parse
from tests.helpers.methods import Net, batch, double_process, generators, loss, objective

D = torch.float64


def noisy_of(progress, classes, has_label=None):
    """Return the fields of a noisy batch that these terms read."""
    fields = dict.fromkeys(NoisyBatch._fields)
    fields["progress"] = torch.tensor(progress, dtype=D)
    fields["classes"] = torch.tensor(classes)
    fields["has_label"] = torch.tensor(has_label or [True] * len(classes))
    return NoisyBatch(**fields)


def overlap(F, progress, classes, partners, **options):
    term = diffrop.build(diffrop.Options(**options), [5, 5])
    query = Query(None, partners=torch.tensor(partners))
    own = Prediction(F)
    return term.extra_losses(noisy_of(progress, classes), own, query, Prediction())["overlap"]


def test_permuted_pairs_of_two_images():
    """D = 4, L = weight / 5; its gradient moves the image at 0 down."""
    F = torch.tensor([0.0, 2.0], dtype=D).reshape(2, 1, 1, 1).requires_grad_()
    values = overlap(F, [0, 0], [0, 1], [1, 0], weight=0.3)
    assert values.tolist() == pytest.approx([0.06, 0.06])
    values.mean().backward()
    assert F.grad.flatten().tolist() == pytest.approx([0.16 * 0.3, -0.16 * 0.3])


def test_pairs_of_one_class_have_the_largest_loss_and_no_gradient():
    F = torch.randn(3, 1, 2, 2, dtype=D, requires_grad=True)
    values = overlap(F, [0.1, 0.5, 0.9], [1, 1, 1], [2, 0, 1])
    values.mean().backward()
    assert values.tolist() == pytest.approx([0.1] * 3)
    assert not F.grad.any()


def test_pure_noise_is_not_pushed():
    F = torch.tensor([0.0, 2.0, 5.0], dtype=D).reshape(3, 1, 1, 1)
    values = overlap(F, [1.0, 0.75, 1.0], [0, 1, 2], [1, 0, 2])
    assert values[0].item() == pytest.approx(0.1 / (1 + 0.25 * 4 / 3))


def test_partners_are_a_random_permutation():
    term, data, seen = diffrop.build(diffrop.Options(), [5, 5]), batch([0, 1, 2, 3]), set()
    for seed in range(200):
        query = term.query(None, data, generators(seed))
        assert sorted(query.partners.tolist()) == [0, 1, 2, 3]
        seen.add(tuple(query.partners.tolist()))
    assert len(seen) == 24


@pytest.mark.parametrize("stop", [False, True])
def test_counterfactual_pushes_up_to_the_margin(stop):
    process, net = double_process(), Net()
    data = batch([0, 1, 2, 3, -1], classes=[0, 1, 2, 3, 2])
    given = {"form": "counterfactual", "weight": 2.0, "margin": 1.0, "stop_gradient": stop}
    method = objective({"name": "diffrop", **given})
    terms = loss(method, net, data, process, generators())
    level = net.calls[0][1][:5]
    labels = net.calls[0][2][5:] if not stop else net.calls[1][2]
    assert all(labels != data.classes), "always another class"
    gap = (net.rows[data.classes] - net.rows[labels]).square()
    expected = 2.0 * (1.0 - (1 - level / 1000) * gap).clamp(min=0)
    expected[4] = 0
    torch.testing.assert_close(terms["overlap"], expected, rtol=1e-6, atol=1e-9)
    assert (net.forward, net.backward) == (10, 5 if stop else 10)


def test_other_labels_are_uniform():
    term = diffrop.build(diffrop.Options(form="counterfactual"), [5] * 4)
    data = batch([2] * 3000)
    labels = term.query(None, data, generators()).labels
    counts = torch.bincount(labels, minlength=4)
    assert counts[2] == 0
    assert counts[[0, 1, 3]].sub(1000).abs().max() < 120


def dispersion(z, **options):
    term = dispersive.build(dispersive.Options(**options), [5, 5])
    return term.extra_losses(None, Prediction(z=z.flatten(1)), None, Prediction())["dispersion"]


def test_dispersion_of_equal_and_of_distant_bottlenecks():
    assert dispersion(torch.ones(4, 3, 2, 2)).tolist() == pytest.approx([0.0] * 4, abs=1e-6)
    far = 1e3 * torch.eye(4, dtype=D)
    expected = -0.5 * torch.log(torch.tensor(4.0)).item()
    assert dispersion(far).tolist() == pytest.approx([expected] * 4), "only i = j is left"


def test_dispersion_by_its_definition_and_its_gradient():
    z = torch.randn(5, 2, 2, 2, generator=torch.Generator().manual_seed(0), dtype=D)
    z.requires_grad_()
    flat = z.flatten(1)
    distances = (flat[:, None] - flat).square().sum(2) / 8
    expected = 0.3 * (-distances / 0.7).exp().mean().log()
    values = dispersion(z, weight=0.3, temperature=0.7)
    torch.testing.assert_close(values, expected.expand(5))
    (own,) = torch.autograd.grad(values.mean(), z, retain_graph=True)
    (reference,) = torch.autograd.grad(expected, z)
    torch.testing.assert_close(own, reference)


def test_unsuitable_options_are_refused():
    for name, value in (("stop_gradient", True), ("margin", 0.2)):
        with pytest.raises(OptionError, match="the form is permute") as error:
            parse(diffrop.Options, {name: value})
        assert error.value.path == (name,)
    with pytest.raises(OptionError, match="only one"):
        objective("diffrop", counts=[30])
