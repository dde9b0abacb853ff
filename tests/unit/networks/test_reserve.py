"""The reserve: sizes, the order of its weights, merging, and rows without it."""

import copy

import pytest
import torch
from torch import nn

from ltdm.diffusion._model import Model
from ltdm.networks import _predictor, mlp, unet
from ltdm.networks._predictor import Predictor, RankShare
from ltdm.networks._reserve import Dropout, PlainRows, ReserveConv2d, remove_reserve

D, SMALL = torch.float64, {"ch": 8, "norm_groups": 4, "ch_mult": (1, 2), "num_res_blocks": 1}


def network(reserve=0.2, filled=True, **options):
    """Return a small network in float64; `filled` draws all weights, B's and the last layer's."""
    torch.manual_seed(0)
    net = unet.build(unet.Options(**SMALL, attn=(1,), reserve=reserve, **options), 1, 8, 3).double()
    for parameter in net.parameters() if filled else []:
        nn.init.normal_(parameter, std=0.3)
    return net


def inputs(rows=5):
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 1, 8, 8, generator=rng, dtype=D)
    return x, 100.0 * torch.arange(rows), torch.arange(rows) % 4 - 1


def without_reserve(net):
    """Return a copy of the network's part that has no reserve, in the same mode."""
    plain = copy.deepcopy(net)
    remove_reserve(plain, merge=False)
    return plain


@pytest.mark.parametrize(
    ("ratio", "parameters"),
    [(0.02, 618_624), (0.05, 1_506_816), (0.1, 3_129_984), (0.15, 4_771_584), (0.5, 16_072_704)],
)
def test_size_at_the_papers_network(ratio, parameters):
    with torch.device("meta"):
        net = unet.build(unet.Options(reserve=ratio), 3, 32, 10)
    convolutions = [m for m in net.modules() if getattr(m, "reserve_A", None) is not None]
    assert len(convolutions) == 27
    assert sum(m.reserve_A.numel() + m.reserve_B.numel() for m in convolutions) == parameters
    assert sum(m.weight.numel() for m in convolutions) == 18_874_368


def test_the_other_weights_are_those_of_a_network_without():
    base, net = network(0, filled=False), network(filled=False)
    state = net.state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in base.state_dict().items())
    assert torch.equal(base.eval()(*inputs()), net.eval()(*inputs())), "since B is zero"


def test_order_of_the_weights():
    conv = ReserveConv2d(4, 2, 0.5).double()
    A, B = conv.reserve_A, conv.reserve_B
    assert (A.shape, B.shape) == ((3, 12), (6, 3))
    for parameter in (A, B):
        nn.init.normal_(parameter)
    product, delta = B @ A, conv.full_weight() - conv.weight
    for o, i, u, v in ((0, 0, 0, 0), (0, 1, 2, 1), (1, 3, 0, 2), (1, 2, 1, 0)):
        row, column = divmod(((o * 4 + i) * 3 + u) * 3 + v, 12)
        torch.testing.assert_close(delta[o, i, u, v], product[row, column])
        assert row // 3 == o, "an output channel has three rows"


def test_first_values_and_gradients():
    """A's gradient is 0, and B's that of W, as a matrix, times A transposed."""
    net = network(filled=False).eval()
    nn.init.normal_(net.tail[-1].weight)
    conv, base = net.upblocks[0].block1[2], without_reserve(net)
    assert conv.reserve_A.std().item() == pytest.approx((3 * conv.in_channels * 3) ** -0.5, rel=0.1)
    F, _, F_plain = net(*inputs(), outputs="both", plain=PlainRows(5))
    assert torch.equal(F, F_plain)
    for predictions in (F, base(*inputs())):
        predictions.square().sum().backward()
    gradient = base.upblocks[0].block1[2].weight.grad.view(conv.out_channels * 3, -1)
    assert not conv.reserve_A.grad.any()
    assert gradient.any()
    torch.testing.assert_close(conv.reserve_B.grad, gradient @ conv.reserve_A.T)


def test_merged_weights_give_the_same_predictions():
    net = network().eval()
    merged = copy.deepcopy(net)
    remove_reserve(merged)
    torch.testing.assert_close(merged(*inputs()), net(*inputs()))
    assert set(merged.state_dict()) == set(network(0).state_dict())
    assert not torch.allclose(without_reserve(net)(*inputs()), net(*inputs()))


@pytest.mark.parametrize("plain", [False, True])
def test_a_model_is_loaded_with_its_reserve_merged_or_without(plain):
    net = network().eval()
    options = {"name": "unet", **SMALL, "attn": [1], "reserve": 0.2}
    metadata = {"network": options, "process": "vp", "label": "input", "points": False}
    metadata |= {"channels": 1, "size": 8, "classes": 3, "augment_dim": 0}
    state = {name: weight.float() for name, weight in net.state_dict().items()}
    model = Model.from_tensors(state, metadata, "fp32", torch.device("cpu"), plain=plain)
    x, *rest = inputs()
    expected = (without_reserve(net) if plain else net)(x, *rest)
    torch.testing.assert_close(
        model.predictors[0](x.float(), *rest), expected.float(), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [3, 5])
def test_plain_rows_are_those_of_the_network_without(shared, count):
    net = network().eval()
    F, z, F_plain = net(*inputs(), outputs="both", plain=PlainRows(count, shared))
    torch.testing.assert_close(F, net(*inputs()))
    torch.testing.assert_close(z, net(*inputs(), outputs="z"))
    torch.testing.assert_close(F_plain, without_reserve(net)(*inputs())[:count])


def test_shared_masks():
    """Both predictions are those that each network makes under the same draws."""
    net, both = network(dropout=0.5), {"outputs": "both", "plain": PlainRows(5, shared=True)}
    outputs = []
    for call, options in ((net, both), (net, {}), (without_reserve(net), {})):
        torch.manual_seed(3)
        outputs.append(call(*inputs(), **options))
    (F, _, F_plain), expected, expected_plain = outputs
    torch.testing.assert_close(F, expected)
    torch.testing.assert_close(F_plain, expected_plain)


def test_shared_masks_keep_the_mean_in_bf16():
    """In bf16, 1 / 0.9 is 1.1094, which is 0.16 % too little."""
    x = 1 + torch.rand(2000, 30, generator=torch.Generator().manual_seed(0)).bfloat16()
    kept = Dropout(0.1).train()(x, PlainRows(1000, shared=True))
    assert kept.dtype == x.dtype
    scale = kept[kept != 0].double() / x[kept != 0].double()
    assert scale.mean().item() == pytest.approx(1 / 0.9, abs=3e-4)


@pytest.mark.parametrize("shared", [False, True])
def test_without_a_reserve_only_the_masks_differ(shared):
    net = network(0, dropout=0.5)
    F, _, F_plain = net(*inputs(), outputs="both", plain=PlainRows(5, shared))
    assert torch.allclose(F, F_plain) == shared


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("rows", "count"), [(8, 4), (10, 5), (5, 5)])
def test_processes_that_share_rows_have_all_plain_ones(rows, count, shared, monkeypatch):
    """Each of three runs its share; the gathered shares are what one process has."""
    monkeypatch.setattr(_predictor, "wrap_ddp", lambda net: net)
    monkeypatch.setattr(_predictor.AllGatherRows, "apply", lambda *args: args)
    net, plain = network().eval(), PlainRows(count, shared)
    shares = []
    for rank in range(3):
        predict = Predictor(net, torch.device("cpu"), "fp32", share=RankShare(rank, 3))
        shares.append(predict.all_outputs(*inputs(rows), plain=plain))
    whole = Predictor(net, torch.device("cpu"), "fp32").all_outputs(*inputs(rows), plain=plain)
    for outputs, expected in zip(zip(*shares, strict=True), whole, strict=True):
        parts, _, numbers = zip(*outputs, strict=True)
        gathered = torch.stack(parts).transpose(0, 1).flatten(0, 1)[: numbers[0]]
        torch.testing.assert_close(gathered, expected)


def test_a_process_gathers_every_output(monkeypatch):
    monkeypatch.setattr(_predictor, "wrap_ddp", lambda net: net)
    monkeypatch.setattr(_predictor.AllGatherRows, "apply", lambda *args: args[2])
    predict = Predictor(network().eval(), torch.device("cpu"), "fp32", share=RankShare(1, 3))
    assert predict.decoder_features(5, *inputs(6)) == [6] * 5


def test_other_networks_repeat_rows():
    net = mlp.build(mlp.Options(width=8), 2, 1, 3).double()
    nn.init.normal_(net.tail[-1].weight)
    x = torch.randn(4, 2, 1, 1, dtype=D)
    rest = torch.arange(4.0), torch.arange(4) % 3
    for shared in (False, True):
        F, z, F_plain = net(x, *rest, outputs="both", plain=PlainRows(3, shared))
        torch.testing.assert_close(F_plain, net(x, *rest)[:3])
        assert (len(F), len(z)) == (4, 4)
