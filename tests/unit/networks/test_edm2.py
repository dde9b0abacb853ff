"""The networks C, E and G: sizes, labels, early exits, and what an untrained G does."""

import pytest
import torch

from ltdm.diffusion import edm
from ltdm.networks import edm2, unet
from ltdm.networks._per_class import PerClassNetworks
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import parse
from ltdm.samplers import ddim, dpmpp2m, heun
from ltdm.samplers._denoise import denoiser

SMALL = {
    "ch": 16,
    "norm_groups": 8,
    "ch_mult": [1, 2],
    "attn": [1],
    "num_res_blocks": 1,
    "head_channels": 8,
}
CONFIGS = (
    {"config": "C"},
    {"config": "E"},
    {"config": "G"},
    {"config": "G", "g_variant": "futurexiang"},
)


def small(classes=5, augment_dim=0, seed=0, **options):
    """A network whose output depends on everything: an untrained G says nothing."""
    torch.manual_seed(seed)
    given = parse(edm2.Options, {**SMALL, "dropout": 0.0, **options})
    net = (
        edm2.build(given, channels=1, size=8, classes=classes, augment_dim=augment_dim)
        .double()
        .eval()
    )
    for name, p in net.named_parameters():
        if name.endswith("gain"):
            p.data.fill_(0.5)
    return net


def asked(n=4):
    x = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    return x, torch.linspace(-1.5, 1, n).double(), torch.tensor([-1, 0, 4, 2])[:n]


@pytest.mark.parametrize(
    ("options", "cifar", "tiny"),
    [
        ({"config": "C"}, 39_509_888, 62_414_720),
        ({"config": "E"}, 39_509_888, 62_414_720),
        ({"config": "G", "g_variant": "futurexiang"}, 39_542_685, 62_447_533),
        ({"config": "G"}, 37_871_517, 59_858_861),  # ours, counted: its embedding is half as wide
    ],
)
def test_published_sizes(options, cifar, tiny):
    shapes = [(options, 32), ({**options, "num_res_blocks": 4, "attn": [2]}, 64)]
    for (given, side), weights in zip(shapes, (cifar, tiny), strict=True):
        with torch.device("meta"):
            net = edm2.build(parse(edm2.Options, given), channels=3, size=side, classes=0)
        assert sum(p.numel() for p in net.parameters()) == weights
        assert len(net.upblocks) == (15 if side == 32 else 23)
        assert not any(name.endswith("bias") for name, _ in net.named_parameters())


def test_the_sixth_tap_is_where_the_specification_has_it():
    taps = {}
    for side, given in ((32, {}), (64, {"num_res_blocks": 4, "attn": [2]})):
        net = edm2.build(parse(edm2.Options, {**given, **SMALL, "ch_mult": [1, 2, 2, 2],
                                              "attn": [],
                                              "num_res_blocks": given.get("num_res_blocks", 2)}),
                         channels=3, size=side, classes=0)  # fmt: skip
        shapes = []
        net.upblocks[5].register_forward_hook(lambda *a, s=shapes: s.append(a[2].shape))
        net(torch.zeros(1, 3, side, side), torch.zeros(1), torch.tensor([-1]))
        taps[side] = (net.upblocks[5].resample, shapes[0][2])
    assert taps == {32: ("", 8), 64: ("up", 16)}


@pytest.mark.parametrize("options", CONFIGS)
def test_labels_levels_and_augmentation_are_heard_and_rows_do_not_mix(options):
    net, (x, level, labels) = small(augment_dim=9, **options), asked()
    said = net(x, level, labels)
    assert said.shape == x.shape
    for i in range(4):
        alone = net(x[i : i + 1], level[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(said[i : i + 1], alone)
    torch.testing.assert_close(net(x, level, labels, torch.zeros(4, 9).double()), said)
    for other in (net(x, level, labels + 0 * labels - 1), net(x, level + 0.3, labels),
                  net(x, level, labels, torch.ones(4, 9).double())):  # fmt: skip
        assert (other[1:] - said[1:]).abs().max() > 1e-4


@pytest.mark.parametrize("options", CONFIGS)
def test_the_bottleneck_and_the_taps_are_the_forward_passes_own(options):
    net, inputs = small(**options), asked()
    said, z = net(*inputs, outputs="both")
    assert torch.equal(said, net(*inputs)) and torch.equal(z, net(*inputs, outputs="z"))
    seen = []
    hooks = [b.register_forward_hook(lambda *a: seen.append(a[2])) for b in net.upblocks]
    taps = net(*inputs, decoder_blocks=3)
    assert len(seen) == len(taps) == 3, "what lies beyond is not computed"
    for tap, block in zip(taps, seen, strict=True):
        torch.testing.assert_close(tap, block.mean((2, 3)).float())
    for hook in hooks:
        hook.remove()


def test_the_unet_has_taps_too():
    options = unet.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1)
    net, seen = unet.build(options, channels=1, size=8, classes=3), []
    for block in net.upblocks:
        block.register_forward_hook(lambda *a: seen.append(a[2]))
    taps = net(
        torch.randn(2, 1, 8, 8), torch.tensor([5, 9]), torch.tensor([-1, -1]), decoder_blocks=2
    )
    assert len(seen) == 2
    torch.testing.assert_close(taps[1], seen[1].mean((2, 3)))


@pytest.mark.parametrize("options", CONFIGS)
def test_dropped_labels_have_an_entry_of_their_own_size(options):
    net = small(**options)
    table = net.embedding.labels
    assert table.weight.shape[0] == 6
    if options["config"] != "C":
        own = table(torch.tensor([5, 0]))
        torch.testing.assert_close(own.square().mean(1), torch.ones(2).double(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("options", CONFIGS)
def test_half_precision_stays_finite_and_near(half, options):
    net, (x, level, labels) = small(**options).float(), asked()
    exact = net(x.float(), level.float(), labels)
    with torch.autocast("cpu", half):
        said = net(x.float(), level.float(), labels)
        huge = net(1e4 * x.float(), level.float(), labels)
    assert torch.isfinite(huge).all() or options["config"] == "C"
    torch.testing.assert_close(said.float(), exact, rtol=0.1, atol=0.1)


def test_activations_are_cut_off_in_E_and_G_alone():
    for options, cut in zip(CONFIGS, (False, True, True, True), strict=True):
        net, (x, level, labels) = small(**options), asked()
        seen = []
        net.downblocks[0].register_forward_hook(lambda *a, s=seen: s.append(a[2].abs().max()))
        with torch.no_grad():
            net(1e6 * x, level, labels)
        assert (seen[0] <= 256) == cut


def test_players_stack_into_the_same_answers():
    """On a GPU separate networks run as one; each has its own frozen waves."""
    nets = [small(classes=0, seed=k, config="E") for k in range(3)]
    players, (x, level, _) = PerClassNetworks(nets), asked(3)
    labels = torch.tensor([2, 0, 1])
    order = labels.argsort()
    rows = [t[order][:, None] for t in (x, level, labels)]
    torch.testing.assert_close(
        players.forward_vmapped(*rows, None), players.forward_sequential(*rows, None)
    )


STEPS = {18: 0.5276246, 32: 0.5078380, 50: 0.5030497, 100: 0.5007203}


@pytest.mark.parametrize("steps", STEPS)
def test_an_untrained_G_says_nothing_and_the_samplers_follow_the_skip(steps):
    """D = c_skip x, of which Heun's result from 80 z is known."""
    net = edm2.build(parse(edm2.Options, {**SMALL, "config": "G"}), 1, 8, classes=0).double()
    process = edm.build(edm.Options(logvar="none")).double()
    labels = torch.full((2,), -1)
    denoise = denoiser(net, process, labels, 0.0)
    z = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        torch.testing.assert_close(denoise(z, 3.0), z * 0.25 / 9.25, rtol=1e-12, atol=0)
        made = heun.sample(denoise, process, lambda: z, heun.Options(steps=steps))
    torch.testing.assert_close(made / z, torch.full_like(z, STEPS[steps]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampler", [heun, dpmpp2m, ddim])
def test_every_solver_nears_the_exact_flow(sampler):
    """dx/dsigma = (x - c_skip x) / sigma from 80 z ends at 0.4999902 z."""
    process = edm.build(edm.Options(logvar="none")).double()
    z = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    errors = []
    for steps in (25, 50, 100):
        made = sampler.sample(lambda x, s: x * 0.25 / (0.25 + s**2), process, lambda: z,
                              sampler.Options(steps=steps))  # fmt: skip
        errors.append(abs(made.item() - 0.4999902))
    order = 2 if sampler is not ddim else 1
    assert errors[2] < errors[0] / 4**order * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ch": 20, "norm_groups": 8}, "multiple of norm_groups"),
        ({"attn": [4]}, "from 0 to 3"),
        ({"config": "E", "g_variant": "futurexiang"}, "goes with config: G"),
        ({"head_channels": 48}, "does not divide"),
        ({"ch_mult": []}, "at least one level"),
        ({"blocks": 3}, "called 'num_res_blocks' now, and is one less: it counts the way down"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        parse(edm2.Options, options)
    with pytest.raises(OptionError, match="multiple of 8"):
        edm2.build(edm2.Options(), 1, 12, classes=0)
