"""The networks C, E and G: sizes, conditioning, partial outputs, and samples of an untrained G."""

import pytest
import torch

from ltdm.diffusion import edm
from ltdm.networks import edm2, unet
from ltdm.networks._per_class import PerClassNetworks
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import parse
from ltdm.samplers import ddim, dpmpp2m, heun
from ltdm.samplers._denoise import denoiser
from tests.helpers.samplers import constant, run

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


def small_network(classes=5, augment_dim=0, seed=0, **options):
    """Return a network whose output depends on every input: an untrained G's is zero."""
    torch.manual_seed(seed)
    parsed = parse(edm2.Options, {**SMALL, "dropout": 0.0, **options})
    net = (
        edm2.build(parsed, channels=1, size=8, classes=classes, augment_dim=augment_dim)
        .double()
        .eval()
    )
    for name, p in net.named_parameters():
        if name.endswith("gain"):
            p.data.fill_(0.5)
    return net


def random_inputs(n=4):
    x = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    return x, torch.linspace(-1.5, 1, n).double(), torch.tensor([-1, 0, 4, 2])[:n]


@pytest.mark.parametrize(
    ("options", "cifar", "tiny"),
    [
        ({"config": "C"}, 39_509_888, 62_414_720),
        ({"config": "E"}, 39_509_888, 62_414_720),
        ({"config": "G", "g_variant": "futurexiang"}, 39_542_685, 62_447_533),
        ({"config": "G"}, 37_871_517, 59_858_861),  # counted here: its embedding is half as wide
    ],
)
def test_published_sizes(options, cifar, tiny):
    shapes = [(options, 32), ({**options, "num_res_blocks": 4, "attn": [2]}, 64)]
    for (size_options, side), weights in zip(shapes, (cifar, tiny), strict=True):
        with torch.device("meta"):
            net = edm2.build(parse(edm2.Options, size_options), channels=3, size=side, classes=0)
        assert sum(p.numel() for p in net.parameters()) == weights
        assert len(net.upblocks) == (15 if side == 32 else 23)
        assert not any(name.endswith("bias") for name, _ in net.named_parameters())


@pytest.mark.parametrize(
    ("side", "num_res_blocks", "resample", "block_side"), [(32, 2, "", 8), (64, 4, "up", 16)]
)
def test_the_sixth_decoder_block_is_where_the_specification_has_it(
    side, num_res_blocks, resample, block_side
):
    options = {"ch_mult": [1, 2, 2, 2], "attn": [], "num_res_blocks": num_res_blocks}
    net = edm2.build(parse(edm2.Options, {**SMALL, **options}), channels=3, size=side, classes=0)
    sides = []
    net.upblocks[5].register_forward_hook(lambda *a: sides.append(a[2].shape[2]))
    net(torch.zeros(1, 3, side, side), torch.zeros(1), torch.tensor([-1]))
    assert (net.upblocks[5].resample, sides) == (resample, [block_side])


@pytest.mark.parametrize("options", CONFIGS)
def test_the_output_depends_on_all_conditions_and_rows_do_not_mix(options):
    net, (x, level, labels) = small_network(augment_dim=9, **options), random_inputs()
    F = net(x, level, labels)
    assert F.shape == x.shape
    for i in range(4):
        alone = net(x[i : i + 1], level[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(F[i : i + 1], alone)
    torch.testing.assert_close(net(x, level, labels, torch.zeros(4, 9).double()), F)
    others = (
        net(x, level, labels + 0 * labels - 1),
        net(x, level + 0.3, labels),
        net(x, level, labels, torch.ones(4, 9).double()),
    )
    for other in others:
        assert (other[1:] - F[1:]).abs().max() > 1e-4


@pytest.mark.parametrize("options", CONFIGS)
def test_bottleneck_and_decoder_features_are_those_of_the_forward_pass(options):
    net, inputs = small_network(**options), random_inputs()
    F, z = net(*inputs, outputs="both")
    assert torch.equal(F, net(*inputs)) and torch.equal(z, net(*inputs, outputs="z"))
    block_outputs = []
    hooks = [
        block.register_forward_hook(lambda *a: block_outputs.append(a[2])) for block in net.upblocks
    ]
    features = net(*inputs, decoder_blocks=3)
    assert len(block_outputs) == len(features) == 3, "later blocks are not computed"
    for pooled, output in zip(features, block_outputs, strict=True):
        torch.testing.assert_close(pooled, output.mean((2, 3)).float())
    for hook in hooks:
        hook.remove()


def test_the_unet_has_decoder_features_too():
    options = unet.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1)
    net, block_outputs = unet.build(options, channels=1, size=8, classes=3), []
    for block in net.upblocks:
        block.register_forward_hook(lambda *a: block_outputs.append(a[2]))
    features = net(
        torch.randn(2, 1, 8, 8), torch.tensor([5, 9]), torch.tensor([-1, -1]), decoder_blocks=2
    )
    assert len(block_outputs) == 2
    torch.testing.assert_close(features[1], block_outputs[1].mean((2, 3)))


@pytest.mark.parametrize("options", CONFIGS)
def test_no_label_has_an_embedding_of_the_same_norm(options):
    net = small_network(**options)
    table = net.embedding.labels
    assert table.weight.shape[0] == 6
    if options["config"] != "C":
        vectors = table(torch.tensor([5, 0]))
        torch.testing.assert_close(
            vectors.square().mean(1), torch.ones(2).double(), rtol=0, atol=1e-3
        )


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("options", CONFIGS)
def test_half_precision_stays_finite_and_near_float32(half, options):
    net, (x, level, labels) = small_network(**options).float(), random_inputs()
    exact = net(x.float(), level.float(), labels)
    with torch.autocast("cpu", half):
        F = net(x.float(), level.float(), labels)
        huge = net(1e4 * x.float(), level.float(), labels)
    assert torch.isfinite(huge).all() or options["config"] == "C"
    torch.testing.assert_close(F.float(), exact, rtol=0.1, atol=0.1)


def test_activations_are_clipped_in_E_and_G_only():
    for options, clips in zip(CONFIGS, (False, True, True, True), strict=True):
        net, (x, level, labels) = small_network(**options), random_inputs()
        maxima = []
        net.downblocks[0].register_forward_hook(lambda *a, m=maxima: m.append(a[2].abs().max()))
        with torch.no_grad():
            net(1e6 * x, level, labels)
        assert (maxima[0] <= 256) == clips


def test_vmapped_networks_equal_sequential_ones():
    """On a GPU per-class networks run as one stack; each has its own frozen Fourier features."""
    nets = [small_network(classes=0, seed=k, config="E") for k in range(3)]
    networks, (x, level, _) = PerClassNetworks(nets), random_inputs(3)
    labels = torch.tensor([2, 0, 1])
    order = labels.argsort()
    rows = [t[order][:, None] for t in (x, level, labels)]
    torch.testing.assert_close(
        networks.forward_vmapped(*rows, None), networks.forward_sequential(*rows, None)
    )


OUTPUT_BY_STEPS = {18: 0.5276246, 32: 0.5078380, 50: 0.5030497, 100: 0.5007203}


@pytest.mark.parametrize("steps", OUTPUT_BY_STEPS)
def test_an_untrained_G_outputs_zero_and_the_sampler_follows_the_skip(steps):
    """Then D = c_skip x, for which Heun's result from 80 z is known."""
    net = edm2.build(parse(edm2.Options, {**SMALL, "config": "G"}), 1, 8, classes=0).double()
    process = edm.build(edm.Options(logvar="none")).double()
    labels = torch.full((2,), -1)
    denoise = denoiser(net, process, labels, constant(0))
    z = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        torch.testing.assert_close(denoise(z, 3.0), z * 0.25 / 9.25, rtol=1e-12, atol=0)
        images = run(heun, denoise, process, lambda: z, steps=steps)
    torch.testing.assert_close(
        images / z, torch.full_like(z, OUTPUT_BY_STEPS[steps]), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("sampler", [heun, dpmpp2m, ddim])
def test_every_solver_converges_to_the_exact_flow(sampler):
    """dx/dsigma = (x - c_skip x) / sigma from 80 z ends at 0.4999902 z."""
    process = edm.build(edm.Options(logvar="none")).double()
    z = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    errors = []
    for steps in (25, 50, 100):
        x0 = run(sampler, lambda x, s: x * 0.25 / (0.25 + s**2), process, lambda: z, steps=steps)
        errors.append(abs(x0.item() - 0.4999902))
    order = 2 if sampler is not ddim else 1
    assert errors[2] < errors[0] / 4**order * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ch": 20, "norm_groups": 8}, "ch.*multiple of norm_groups"),
        ({"attn": [4]}, "attn.*0 to 3"),
        ({"config": "E", "g_variant": "futurexiang"}, "g_variant.*config: G"),
        ({"head_channels": 48}, "head_channels.*does not divide"),
        ({"ch_mult": []}, "ch_mult.*at least one"),
        ({"blocks": 3}, "blocks.*num_res_blocks"),
    ],
)
def test_incompatible_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        parse(edm2.Options, options)
    with pytest.raises(OptionError, match="multiple of 8"):
        edm2.build(edm2.Options(), 1, 12, classes=0)
