"""EDM's process: preconditioning, levels, loss weights, and equal objectives on VP and EDM."""

import math

import pytest
import torch

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, read_config
from ltdm.diffusion import edm, vp
from ltdm.diffusion._base import expand_like
from ltdm.networks import mlp
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import parse
from tests.conftest import ROOT
from tests.helpers.methods import Net, Table, batch, double_process, generators, loss, objective

NODES = [80, 57.58599, 40.78557, 28.37459, 19.35245, 12.91008, 8.400935, 5.315195, 3.256822,
         1.923340, 1.088171, 0.585348, 0.296442, 0.139516, 0.059947, 0.022935, 0.007528, 0.002,
         0]  # fmt: skip
NOISE_PROGRESS = {  # sigma: snr, quantile, sampler
    0.01: (0.001, 0.002, 0.073), 0.06: (0.015, 0.089, 0.177), 0.3: (0.088, 0.499, 0.295),
    1: (0.259, 0.841, 0.403), 5: (0.567, 0.990, 0.581), 20: (0.771, 1.0, 0.770),
    80: (0.934, 1.0, 1.0),
}  # fmt: skip


def edm_process(**options):
    return edm.build(parse(edm.Options, {"logvar": "none", **options})).double()


def random_batch(n=64, seed=0):
    """Return clean images, noise and levels."""
    rng = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(2, n, 3, 4, 4, generator=rng, dtype=torch.float64)
    return x0 / 2, noise, edm_process().draw_levels(n, rng).double()


def test_the_sampling_levels_are_the_papers():
    assert edm_process().sampler_levels(18) == pytest.approx(NODES, rel=1e-6, abs=6e-7)
    fourth = [edm_process().karras_levels(18, 7.0)[18 - t] for t in (3, 4, 5)]
    assert fourth == pytest.approx([0.022935, 0.059947, 0.139516], abs=5e-7)


def test_the_loss_in_F_is_the_weighted_loss_in_D():
    x0, noise, level = random_batch()
    process = edm_process()
    x, F = process.corrupt(x0, noise, level), torch.randn_like(x0)
    D = process.to_denoised(F, x, level)
    weight = (level**2 + 0.25) / (level * 0.5) ** 2
    in_d = expand_like(weight, x0) * (D - x0) ** 2
    in_f = (F - process.target(x0, noise, level)) ** 2
    torch.testing.assert_close(in_f, in_d, rtol=1e-12, atol=1e-12)
    exact = process.to_denoised(process.target(x0, noise, level), x, level)
    torch.testing.assert_close(exact, x0, rtol=1e-12, atol=1e-12)


def test_the_network_s_inputs_and_targets_have_variance_one():
    x0, noise, level = random_batch(20_000)
    process = edm_process()
    scaled, c_noise = process.network_inputs(process.corrupt(x0, noise, level), level)
    target = process.target(x0, noise, level)
    assert [scaled.var().item(), target.var().item()] == pytest.approx([1, 1], abs=0.01)
    torch.testing.assert_close(c_noise, level.log() / 4)
    assert level.log().mean().item() == pytest.approx(-1.2, abs=0.05)
    assert level.log().std().item() == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize(("weighting", "column"), [("snr", 0), ("quantile", 1), ("sampler", 2)])
def test_noise_progress(weighting, column):
    levels = torch.tensor(list(NOISE_PROGRESS), dtype=torch.float64)
    expected = torch.tensor([row[column] for row in NOISE_PROGRESS.values()], dtype=torch.float64)
    progress = edm_process(term_weighting=weighting).noise_progress(levels)
    torch.testing.assert_close(progress, expected, rtol=0, atol=6e-4)


@pytest.mark.parametrize(
    ("options", "mean"),
    [
        ({}, 0.13394),
        ({"P_mean": -0.8, "P_std": 1.6}, 0.201),
        ({"P_mean": -0.4, "P_std": 1.0}, 0.219),
        ({"term_weighting": "quantile"}, 0.5),
        ({"term_weighting": "sampler"}, 0.304),
    ],
)
def test_mean_noise_progress(options, mean):
    process = edm_process(**options)
    levels = process.draw_levels(100_000, torch.Generator().manual_seed(0))
    assert process.noise_progress(levels).mean().item() == pytest.approx(mean, abs=2e-3)


def test_noise_progress_is_ddpms_at_the_same_noise_to_signal_ratio():
    ddpm = double_process()
    t = torch.arange(1000)
    gap = edm_process().noise_progress(ddpm.sigma(t)) - t / 1000
    assert gap.abs().max().item() == pytest.approx(0.00435, abs=1e-5)


class InputDependentTable(Table):
    """A table whose outputs also depend on the noisy images, so that levels matter."""

    def forward(self, x, level, labels, augment=None, outputs="F"):
        F = torch.tanh(x) * self.rows[labels][:, None, None, None]
        return {"F": F, "both": (F, x.flatten(1))}[outputs]


def reference_loss(space, process, table, data, method, rng):
    """CBDM's loss from the same draws, written in eps-hat or D instead of F."""
    level = process.draw_levels(len(data.x0), rng.shared).to(data.x0.dtype)
    level = level.long() if isinstance(process, vp.VP) else level
    noise = torch.randn(data.x0.shape, generator=rng.shared, dtype=data.x0.dtype)
    others = method.terms[0].draw_labels(len(data.x0), rng.shared)
    x = process.corrupt(data.x0, noise, level)
    inputs = process.network_inputs(x, level)
    D, other = (process.to_denoised(table(*inputs, y), x, level) for y in (data.labels, others))
    sigma = expand_like(process.sigma(level), x)
    if space == "eps":  # of x' = x / signal
        signal = 1 / torch.sqrt(1 + sigma**2) if isinstance(process, vp.VP) else 1
        D, other, truth = ((x / signal - d) / sigma for d in (D, other, data.x0))
        truth = noise
        scale = 1 if isinstance(process, vp.VP) else (sigma**2 + 0.25) / 0.25
    else:
        truth = data.x0
        scale = 1 / sigma**2 if isinstance(process, vp.VP) else (sigma**2 + 0.25) / (sigma / 2) ** 2
    s = expand_like(process.noise_progress(level), x)
    gap = (D - other.detach()) ** 2 + 0.25 * (D.detach() - other) ** 2
    return (scale * ((D - truth) ** 2 + s * gap)).mean()


@pytest.mark.parametrize("space", ["eps", "D"])
@pytest.mark.parametrize("kind", ["vp", "edm"])
def test_cbdm_is_one_loss_in_every_space(kind, space):
    """On VP it is CBDM's loss in eps; on EDM the gradients of its terms have the same ratio."""
    process, data = double_process() if kind == "vp" else edm_process(), batch([0, 1, 2, 3])
    grads = []
    for is_reference in (False, True):
        table, method = InputDependentTable(), objective("cbdm")
        if is_reference:
            total = reference_loss(space, process, table, data, method, generators())
        else:
            terms = loss(method, Net(table), data, process, generators())
            total = sum(t.mean() for t in terms.values())
        total.backward()
        grads.append((total.detach(), table.rows.grad))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-6, atol=1e-9)


def first_levels(process):
    """The levels that an objective draws first for a batch of four."""
    return process.draw_levels(4, generators().shared)


def test_losses_are_weighted_by_the_learnt_loss_of_their_level():
    """At the optimum u is the log of the loss; terms are weighed by e^-u but do not train u."""
    process, data = edm_process(logvar="linear"), batch([0, 1, 2, 3])
    method, table = objective("cbdm"), Table()
    plain = loss(objective("cbdm"), Net(), data, edm_process(), generators())
    torch.nn.init.normal_(process.uncertainty.line.weight, std=0.3)
    losses = loss(method, Net(table), data, process, generators())
    u = process.logvar(first_levels(process))
    weighted = losses["denoise"] + losses["uncertainty"]
    torch.testing.assert_close(losses["denoise"], plain["denoise"])
    torch.testing.assert_close(weighted, (-u).exp() * plain["denoise"] + u)
    torch.testing.assert_close(losses["balance"], (-u).exp() * plain["balance"])
    losses["balance"].sum().backward(retain_graph=True)
    assert process.uncertainty.line.weight.grad is None, "a term has no gradient to u"
    weight = process.uncertainty.line.weight
    gradient = torch.autograd.grad(weighted.sum(), weight, retain_graph=True)[0]
    factor = (1 - (-u).exp() * plain["denoise"]).detach()
    torch.testing.assert_close(gradient, torch.autograd.grad((factor * u).sum(), weight)[0])


def test_the_magnitude_preserving_u_starts_at_norm_one_and_the_linear_at_zero():
    levels = torch.tensor([0.002, 0.3, 80.0])
    mp, linear = (edm.build(edm.Options(logvar=kind)) for kind in ("mp", "linear"))
    assert mp.uncertainty.line.weight.square().mean().item() == pytest.approx(1, abs=1e-3)
    assert mp.logvar(levels).abs().max() > 0.1
    assert torch.equal(linear.logvar(levels), torch.zeros(3))
    again = edm.build(edm.Options())
    assert torch.equal(mp.logvar(levels), again.logvar(levels)), "the same in every run"


def test_vp_levels_for_samplers_in_sigma():
    process = vp.build(vp.Options())
    levels = process.karras_levels(18, 7.0)
    assert levels[0] == 999 and levels[-2:] == [0, -1]
    for level, sigma in zip(levels, edm.karras_sigmas(0.01, 157.4, 18, 7.0), strict=False):
        signal, std = process.signal_and_std(level)
        assert math.log(std / signal) == pytest.approx(math.log(sigma), abs=0.25)
    with pytest.raises(LtdmError, match="fewer distinct levels"):
        process.karras_levels(300, 7.0)


def test_an_empty_range_of_levels_is_refused():
    with pytest.raises(LtdmError, match="above sigma_min"):
        parse(edm.Options, {"sigma_max": 0.001})


def test_edm2_on_ddpms_process_is_conditioned_on_sigma():
    smoke = read_config([ROOT / "config/smoke.yaml"])
    network = {"name": "edm2", "ch": 8, "norm_groups": 4, "ch_mult": [1, 2], "num_res_blocks": 1}
    with pytest.raises(LtdmError, match=r"noise_conditioning.*log_sigma"):
        Experiment(merge([smoke, {"defaults": {"network": network}}]))
    conditioned = {"network": network, "process": {"name": "vp", "noise_conditioning": "log_sigma"}}
    Experiment(merge([smoke, {"defaults": conditioned}]))
    process = double_process(noise_conditioning="log_sigma")
    _, c_noise = process.network_inputs(torch.zeros(2, 1, 1, 1), torch.tensor([0, 999]))
    torch.testing.assert_close(c_noise, process.sigma(torch.tensor([0, 999])).log() / 4)


def test_a_network_conditioned_on_timesteps_does_not_fit_edm(monkeypatch):
    """EDM has no option `noise_conditioning`: its c_noise is always ln(sigma) / 4."""
    monkeypatch.setattr(mlp, "NOISE_CONDITIONING", "timestep", raising=False)
    layers = (
        read_config([ROOT / "config/smoke.yaml"]),
        {"defaults": {"network": "mlp", "process": "vp"}},
    )
    Experiment(merge([*layers]))
    with pytest.raises(LtdmError, match=r"noise conditioning is log_sigma.*timestep"):
        Experiment(merge([*layers, {"defaults": {"process": "edm"}}]))
