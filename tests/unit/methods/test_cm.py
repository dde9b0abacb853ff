"""Capacity manipulation: weights of the classes, values and gradients by hand, and calls."""

import pytest
import torch

from ltdm.diffusion import vp
from ltdm.methods import cm
from ltdm.methods._base import Prediction, make_noisy
from ltdm.networks import unet
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.errors import OptionError
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.methods import (
    COUNTS,
    CPU,
    Net,
    Table,
    batch,
    double_process,
    generators,
    loss,
    objective,
)
from tests.helpers.training import SPEC, data, run, same

D = torch.float64
CIFAR10 = [int(5000 * 0.01 ** (k / 9)) for k in range(10)]
CIFAR10_001 = [int(5000 * 0.001 ** (k / 9)) for k in range(10)]
CIFAR100 = [int(500 * 0.01 ** (k / 99)) for k in range(100)]
TEN = range(10)


def strength(counts, **options):
    return cm.build(cm.Options(**options), counts).strength


@pytest.mark.parametrize(
    ("counts", "diversity", "classes", "expected"),
    [
        (CIFAR10, 0.2, TEN, "4.0223 2.4023 1.4253 .8308 .4575 .2080 .0136 -.1774 -.4179 -.7644"),
        (CIFAR10, 1, TEN, "3.9901 2.3486 1.3357 .6813 .2080 -.2079 -.6802 -1.3353 -2.3570 -3.9833"),
        (
            CIFAR10_001,
            0.2,
            TEN,
            "5.3615 2.4859 1.1502 .5257 .2262 .0657 -.0514 -.2037 -.5146 -1.0454",
        ),
        (CIFAR100, 0.2, [0, 10, 50, 67, 68, 99], "4.6008 2.8809 .3512 .0036 -.0151 -.8303"),
    ],
)
def test_weights_of_the_classes(counts, diversity, classes, expected):
    values = strength(counts, diversity=diversity)
    assert values[list(classes)].tolist() == pytest.approx(
        [*map(float, expected.split())], abs=6e-5
    )
    assert values.sum().item() == pytest.approx(len(counts) * (1 - diversity))


@pytest.mark.parametrize(("counts", "expected"), [(CIFAR10, 0.00162165), (CIFAR100, 2.01992e-5)])
def test_all_classes_are_pushed_apart_equally(counts, expected):
    p = torch.tensor(counts, dtype=D) / sum(counts)
    pushed = -strength(counts, consistency=0, diversity=1) * p / len(counts)
    assert pushed.tolist() == pytest.approx([expected] * len(counts), rel=1e-5)


def test_balanced_classes():
    assert not strength([7] * 5, diversity=1).any()
    assert strength([7] * 5).tolist() == pytest.approx([0.8] * 5)


@pytest.mark.parametrize(("diversity", "weight"), [(0.2, 1.0), (1.0, 0.5)])
def test_loss_and_call(diversity, weight):
    """The class counts where the label is dropped too, and both predictions lack that label."""
    net, process = Net(Table(reserve=0.7)), double_process()
    given = {"name": "cm", "diversity": diversity, "weight": weight}
    shown = batch([0, 1, -1, 3], classes=[0, 1, 2, 3])
    terms = loss(objective(given), net, shown, process, generators())
    expected = weight * strength(COUNTS, diversity=diversity) * 0.7**2
    torch.testing.assert_close(terms["capacity"], expected)
    assert [labels.tolist() for _, _, labels in net.calls] == [[0, 1, -1, 3]]


def test_gradients_of_both_predictions():
    """One image and pixel: F = 1, F^g = 0, target 0 and class weight 2 give 3, 6 and -4."""
    term = cm.build(cm.Options(consistency=2, diversity=0), [4])
    F, F_plain = (torch.full((1, 1, 1, 1), v, dtype=D, requires_grad=True) for v in (1.0, 0.0))
    x0 = torch.zeros(1, 1, 1, 1, dtype=D)
    noisy = make_noisy(batch([0], x0=x0), double_process(), x0)
    losses = term.extra_losses(noisy, Prediction(F), None, Prediction(F_plain))
    total = F.square().mean() + losses["capacity"].mean()
    total.backward()
    assert (total.item(), F.grad.item(), F_plain.grad.item()) == pytest.approx((3, 6, -4))


def test_margin_limits_the_push_and_not_the_pull():
    net, rare = Net(Table(reserve=2.0)), strength(COUNTS) < 0
    given = {"name": "cm", "margin": 1.5}
    terms = loss(objective(given), net, batch([0, 1, 2, 3]), double_process(), generators())
    assert rare.tolist() == [False, False, False, True]
    expected = strength(COUNTS) * torch.tensor([4, 4, 4, 1.5], dtype=D)
    torch.testing.assert_close(terms["capacity"], expected)
    terms["capacity"][3].backward()
    assert net.table.reserve.grad == 0


def small_net(reserve, **options):
    torch.manual_seed(0)
    size = {"ch": 8, "norm_groups": 4, "ch_mult": (1, 2), "attn": (), "num_res_blocks": 1}
    return unet.build(unet.Options(**size, reserve=reserve, **options), 1, 4, 4)


@pytest.mark.parametrize(("masks", "dropout"), [("own", 0.5), ("own", 0.0), ("shared", 0.5)])
def test_at_the_start_only_own_masks_give_a_loss(masks, dropout):
    predict = Predictor(small_net(0.2, dropout=dropout), CPU, "fp32")
    torch.nn.init.normal_(predict.net.tail[-1].weight)
    shown = batch([0, 1, 2, 3], x0=torch.randn(4, 1, 4, 4))
    method = objective({"name": "cm", "masks": masks})
    values = loss(method, predict, shown, vp.build(vp.Options()), generators())["capacity"]
    assert values.any() == (masks == "own" and dropout > 0)


def test_with_other_methods_in_one_call():
    """The released method is CM with OC-LT; CBDM's second prediction has the reserve."""
    net, process = Net(Table(reserve=0.7)), double_process()
    shown = batch([0, 1, 2, 3, -1], classes=[0, 1, 2, 3, 2])
    terms = loss(objective("oclt", "cm", "cbdm"), net, shown, process, generators())
    assert [len(x) for x, _, _ in net.calls] == [10]
    capacity = loss(objective("cm"), Net(Table(reserve=0.7)), shown, process, generators())
    torch.testing.assert_close(terms["capacity"], capacity["capacity"])
    oclt = loss(objective("oclt"), Net(Table(reserve=0.7)), shown, process, generators())
    torch.testing.assert_close(terms["denoise"], oclt["denoise"])
    _, level, labels = net.calls[0]
    gap = (net.rows[labels[:4]] - net.rows[labels[5:9]]).square()
    torch.testing.assert_close(terms["balance"][:4], level[:4] / 1000 * 1.25 * gap)


def test_without_weight_it_is_ddpm_to_the_bit():
    nets = []
    for method in ("ddpm", {"name": "cm", "weight": 0}):
        nets.append(make_trainer(Recipe.from_spec({**SPEC, "method": method}), 0, *data(), CPU))
        run(nets[-1])
    assert same(*nets)


def test_a_class_without_images_is_refused():
    with pytest.raises(OptionError, match=r"diversity: needs an image of every class, and class 2"):
        objective("cm", counts=[5, 3, 0])
