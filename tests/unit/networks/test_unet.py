from dataclasses import replace

import pytest
import torch

from ltdm.networks import unet
from ltdm.plumbing.errors import LtdmError, OptionError

SMALL = unet.Options(ch=32, ch_mult=(1, 2), num_res_blocks=1)


@pytest.mark.parametrize(
    ("classes", "trainable"), [(0, 35_746_307), (10, 35_751_427), (100, 35_797_507)]
)
def test_paper_size(classes, trainable):
    net = unet.build(unet.Options(), channels=3, size=32, classes=classes)
    assert sum(p.numel() for p in net.parameters()) == trainable


@pytest.mark.parametrize(
    ("options", "size", "classes", "trainable"),
    [
        # The reference counts the T * ch numbers of a frozen time table; here it is computed.
        (unet.Options(ch=32, ch_mult=(1, 2), num_res_blocks=1), 32, 10, 735_779 - 32_000),
        (unet.Options(ch=32), 32, 10, 2_279_043 - 32_000),
        (unet.Options(ch=64), 32, 10, 9_018_627 - 64_000),
        (unet.Options(), 64, 200, 35_848_707),
        (unet.Options(ch_mult=(1, 2, 2, 2, 4)), 64, 0, 78_700_803),
    ],
)
def test_other_sizes(options, size, classes, trainable):
    net = unet.build(options, channels=3, size=size, classes=classes)
    assert sum(p.numel() for p in net.parameters()) == trainable


@pytest.mark.parametrize(("ch_mult", "size"), [((1,), 1), ((2, 1), 2), ((1, 2), 2)])
def test_a_group_of_one_number_has_no_norm(ch_mult, size):
    for groups in (8, 4):
        options = unet.Options(ch=8, norm_groups=groups, ch_mult=ch_mult, attn=())
        if groups == 4:
            unet.check(options, size)
        else:
            with pytest.raises(OptionError, match=r"norm_groups: is 8.*one number.*lower it"):
                unet.check(options, size)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 12), (2, 32)])
def test_any_size_and_channels(channels, size):
    net = unet.build(SMALL, channels, size, classes=3)
    x = torch.randn(2, channels, size, size)
    assert net(x, torch.tensor([0, 999]), torch.tensor([2, -1])).shape == x.shape


def test_the_first_level_may_be_wider():
    net = unet.build(unet.Options(ch=32, ch_mult=(2, 1), num_res_blocks=1), 3, 8, 0)
    x = torch.randn(2, 3, 8, 8)
    assert net(x, torch.zeros(2), torch.zeros(2, dtype=torch.int64)).shape == x.shape


def test_an_image_size_that_cannot_be_halved_is_refused():
    with pytest.raises(LtdmError, match=r"ch_mult.*multiple of 8"):
        unet.build(unet.Options(ch=32), channels=1, size=12, classes=3)


def perturbed_network(options=SMALL, classes=5):
    """Return a network away from its initialisation, where its output is nearly zero."""
    torch.manual_seed(0)
    net = unet.build(options, channels=1, size=8, classes=classes).double().eval()
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net


@pytest.mark.parametrize(("classes", "trainable"), [(10, 38_765_315), (100, 38_776_835)])
def test_label_layers_have_the_size_of_the_released_network(classes, trainable):
    """That counts the frozen time table, and one more label, which its padding index wastes."""
    net = unet.build(unet.Options(label_layers=True), channels=3, size=32, classes=classes)
    assert sum(p.numel() for p in net.parameters()) == trainable - 128_000 - 128


def test_a_block_adds_the_projections_of_time_and_label():
    block = unet.ResBlock(unet.Options(ch=8, norm_groups=4, dropout=0), True, 8, 16, False)
    x, time, label = torch.randn(2, 8, 4, 4), torch.randn(2, 32), torch.randn(2, 32)
    h = block(x, torch.cat([time, label, torch.tensor([[1.0], [0.0]])], dim=1))
    shift = block.temb_proj(time)
    shift[0] += block.label_proj[1](torch.nn.functional.silu(label[0]))
    expected = block.block2(block.block1(x) + shift[:, :, None, None]) + block.shortcut(x)
    torch.testing.assert_close(h, expected)


@pytest.mark.parametrize("label_layers", [False, True])
def test_no_label_equals_an_unconditional_network(label_layers):
    options = replace(SMALL, label_layers=label_layers)
    net, plain = perturbed_network(options), perturbed_network(options, classes=0)
    weights = {k: v for k, v in net.state_dict().items() if "label" not in k}
    plain.load_state_dict(weights)
    x, t, y = torch.randn(4, 1, 8, 8).double(), torch.arange(4), torch.tensor([-1, 0, 4, -1])
    mixed, without = net(x, t, y), plain(x, t, y)
    assert torch.equal(mixed[[0, 3]], without[[0, 3]])
    assert not torch.allclose(mixed[1], without[1])


def test_time_embedding_interleaves_sine_and_cosine():
    table = unet.TimeEmbedding(8, 16)
    features = []
    table.mlp.register_forward_pre_hook(lambda _, args: features.append(args[0]))
    table(torch.tensor([7]))
    for j in range(4):
        angle = torch.tensor(7 * 10_000 ** (-2 * j / 8))
        expected = torch.stack([angle.sin(), angle.cos()])
        torch.testing.assert_close(features[0][0, 2 * j : 2 * j + 2], expected)


@pytest.mark.parametrize(("zero_init", "std"), [(False, 0.0625), (True, 6.25e-7)])
def test_initialisation_of_residual_branches(zero_init, std):
    torch.manual_seed(0)
    net = unet.build(unet.Options(zero_init_attention=zero_init), channels=3, size=32, classes=10)
    blocks = [m for m in net.modules() if isinstance(m, unet.ResBlock)]
    assert len(blocks) == 22
    assert max(b.block2[-1].weight.std() for b in blocks) < 1e-6
    assert net.tail[-1].weight.std() < 1e-6
    at_256 = next(b.attn for b in blocks if isinstance(b.attn, unet.Attention))
    torch.testing.assert_close(at_256.proj.weight.std().item(), std, rtol=0.02, atol=0)
    assert all(m.bias.abs().sum() == 0 for m in net.modules() if isinstance(m, torch.nn.Conv2d))


def test_augmentation_condition():
    plain, conditioned = (
        unet.build(SMALL, channels=1, size=8, classes=5, augment_dim=n).double().eval()
        for n in (0, 9)
    )
    weights = {k: torch.randn_like(v) / 10 for k, v in plain.state_dict().items()}
    plain.load_state_dict(weights)
    missing = conditioned.load_state_dict(weights, strict=False).missing_keys
    assert missing == ["augm_embedding.weight"]
    x, t, y = torch.randn(2, 1, 8, 8).double(), torch.tensor([3, 7]), torch.tensor([0, -1])
    zeros, ones = torch.zeros(2, 9).double(), torch.ones(2, 9).double()
    assert torch.equal(conditioned(x, t, y), plain(x, t, y))
    assert torch.equal(conditioned(x, t, y, zeros), plain(x, t, y)), "zeros mean no augmentation"
    assert not torch.allclose(conditioned(x, t, y, ones), plain(x, t, y))
