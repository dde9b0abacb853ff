"""EDM's process: preconditioning, levels, weighting, and that objectives mean the same on it."""

import math

import pytest
import torch

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, read_config
from ltdm.diffusion import edm, vp
from ltdm.diffusion._base import spread
from ltdm.networks import mlp
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import parse
from tests.conftest import ROOT
from tests.helpers.methods import Net, Table, batch, double_process, loss, objective, streams

NODES = [80, 57.58599, 40.78557, 28.37459, 19.35245, 12.91008, 8.400935, 5.315195, 3.256822,
         1.923340, 1.088171, 0.585348, 0.296442, 0.139516, 0.059947, 0.022935, 0.007528, 0.002,
         0]  # fmt: skip
PLACES = {  # sigma: snr, quantile, sampler
    0.01: (0.001, 0.002, 0.073), 0.06: (0.015, 0.089, 0.177), 0.3: (0.088, 0.499, 0.295),
    1: (0.259, 0.841, 0.403), 5: (0.567, 0.990, 0.581), 20: (0.771, 1.0, 0.770),
    80: (0.934, 1.0, 1.0),
}  # fmt: skip


def made(**options):
    return edm.build(parse(edm.Options, {"logvar": "none", **options})).double()


def drawn(n=64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(2, n, 3, 4, 4, generator=rng, dtype=torch.float64)
    return x0 / 2, noise, made().draw(n, rng).double()


def test_the_sampling_levels_are_the_papers():
    assert made().grid(18) == pytest.approx(NODES, rel=1e-6, abs=6e-7)
    fourth = [made().spaced(18, 7.0)[18 - t] for t in (3, 4, 5)]
    assert fourth == pytest.approx([0.022935, 0.059947, 0.139516], abs=5e-7)


def test_the_loss_in_F_is_the_weighted_loss_in_D():
    x0, noise, level = drawn()
    process = made()
    x, F = process.corrupt(x0, noise, level), torch.randn_like(x0)
    D = process.denoised(F, x, level)
    weight = (level**2 + 0.25) / (level * 0.5) ** 2
    in_d = spread(weight, x0) * (D - x0) ** 2
    in_f = (F - process.target(x0, noise, level)) ** 2
    torch.testing.assert_close(in_f, in_d, rtol=1e-12, atol=1e-12)
    exact = process.denoised(process.target(x0, noise, level), x, level)
    torch.testing.assert_close(exact, x0, rtol=1e-12, atol=1e-12)


def test_what_the_network_sees_and_says_has_variance_one():
    x0, noise, level = drawn(20_000)
    process = made()
    seen, c_noise = process.inputs(process.corrupt(x0, noise, level), level)
    target = process.target(x0, noise, level)
    assert [seen.var().item(), target.var().item()] == pytest.approx([1, 1], abs=0.01)
    torch.testing.assert_close(c_noise, level.log() / 4)
    assert level.log().mean().item() == pytest.approx(-1.2, abs=0.05)
    assert level.log().std().item() == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize(("kind", "place"), [("snr", 0), ("quantile", 1), ("sampler", 2)])
def test_progress(kind, place):
    levels = torch.tensor(list(PLACES), dtype=torch.float64)
    expected = torch.tensor([places[place] for places in PLACES.values()], dtype=torch.float64)
    found = made(term_weighting=kind).progress(levels)
    torch.testing.assert_close(found, expected, rtol=0, atol=6e-4)


@pytest.mark.parametrize(
    ("options", "mean"),
    [({}, 0.13394), ({"P_mean": -0.8, "P_std": 1.6}, 0.201),
     ({"P_mean": -0.4, "P_std": 1.0}, 0.219), ({"term_weighting": "quantile"}, 0.5),
     ({"term_weighting": "sampler"}, 0.304)],
)  # fmt: skip
def test_mean_progress(options, mean):
    process = made(**options)
    levels = process.draw(100_000, torch.Generator().manual_seed(0))
    assert process.progress(levels).mean().item() == pytest.approx(mean, abs=2e-3)


def test_progress_is_ddpms_at_the_same_noise():
    ddpm = double_process()
    t = torch.arange(1000)
    gap = made().progress(ddpm.sigma(t)) - t / 1000
    assert gap.abs().max().item() == pytest.approx(0.00435, abs=1e-5)


class Sees(Table):
    """A table whose rows also move with what is seen, so that levels matter."""

    def forward(self, x, level, labels, augment=None, want="F"):
        F = torch.tanh(x) * self.rows[labels][:, None, None, None]
        return {"F": F, "both": (F, x.flatten(1))}[want]


def by_hand(space, process, table, data, method, rng):
    """CBDM with its gradients, from the same draws, written in eps-hat or D instead of F."""
    level = process.draw(len(data.x0), rng.device).to(data.x0.dtype)
    level = level.long() if isinstance(process, vp.VP) else level
    noise = torch.randn(data.x0.shape, generator=rng.device, dtype=data.x0.dtype)
    others = method.terms[0].draw_labels(len(data.x0), rng.device)
    x = process.corrupt(data.x0, noise, level)
    seen = process.inputs(x, level)
    D, other = (process.denoised(table(*seen, y), x, level) for y in (data.labels, others))
    sigma = spread(process.sigma(level), x)
    if space == "eps":  # of x' = x / signal
        signal = 1 / torch.sqrt(1 + sigma**2) if isinstance(process, vp.VP) else 1
        D, other, truth = ((x / signal - d) / sigma for d in (D, other, data.x0))
        truth = noise
        scale = 1 if isinstance(process, vp.VP) else (sigma**2 + 0.25) / 0.25
    else:
        truth = data.x0
        scale = 1 / sigma**2 if isinstance(process, vp.VP) else (sigma**2 + 0.25) / (sigma / 2) ** 2
    s = spread(process.progress(level), x)
    gap = (D - other.detach()) ** 2 + 0.25 * (D.detach() - other) ** 2
    return (scale * ((D - truth) ** 2 + s * gap)).mean()


@pytest.mark.parametrize("space", ["eps", "D"])
@pytest.mark.parametrize("kind", ["vp", "edm"])
def test_cbdm_is_one_loss_in_every_space(kind, space):
    """With VP's preconditioning it is CBDM's own, in eps; EDM's gradients have the same ratio."""
    process, data = double_process() if kind == "vp" else made(), batch([0, 1, 2, 3])
    grads = []
    for hand in (False, True):
        table, method = Sees(), objective("cbdm")
        if hand:
            total = by_hand(space, process, table, data, method, streams())
        else:
            terms = loss(method, Net(table), data, process, streams())
            total = sum(t.mean() for t in terms.values())
        total.backward()
        grads.append((total.detach(), table.rows.grad))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-6, atol=1e-9)


def drawn_levels(process):
    """The levels of a batch of four, as an objective draws them first."""
    return process.draw(4, streams().device)


def test_a_level_counts_by_what_is_left_of_its_loss():
    """At the optimum u is the log of the loss; terms neither move u nor escape its weight."""
    process, data = made(logvar="linear"), batch([0, 1, 2, 3])
    method, table = objective("cbdm"), Table()
    plain = loss(objective("cbdm"), Net(), data, made(), streams())
    torch.nn.init.normal_(process.uncertainty.line.weight, std=0.3)
    losses = loss(method, Net(table), data, process, streams())
    u = process.log_error(drawn_levels(process))
    whole = losses["denoise"] + losses["uncertainty"]
    torch.testing.assert_close(losses["denoise"], plain["denoise"])
    torch.testing.assert_close(whole, (-u).exp() * plain["denoise"] + u)
    torch.testing.assert_close(losses["balance"], (-u).exp() * plain["balance"])
    losses["balance"].sum().backward(retain_graph=True)
    assert process.uncertainty.line.weight.grad is None, "a term cannot lessen itself"
    weight = process.uncertainty.line.weight
    found = torch.autograd.grad(whole.sum(), weight, retain_graph=True)[0]
    pull = (1 - (-u).exp() * plain["denoise"]).detach()
    torch.testing.assert_close(found, torch.autograd.grad((pull * u).sum(), weight)[0])


def test_the_row_of_norm_one_starts_so_and_the_line_at_zero():
    levels = torch.tensor([0.002, 0.3, 80.0])
    unit, line = (edm.build(edm.Options(logvar=kind)) for kind in ("mp", "linear"))
    assert unit.uncertainty.line.weight.square().mean().item() == pytest.approx(1, abs=1e-3)
    assert unit.log_error(levels).abs().max() > 0.1
    assert torch.equal(line.log_error(levels), torch.zeros(3))
    again = edm.build(edm.Options())
    assert torch.equal(unit.log_error(levels), again.log_error(levels)), "the same in every run"


def test_vp_levels_for_samplers_in_sigma():
    process = vp.build(vp.Options())
    levels = process.spaced(18, 7.0)
    assert levels[0] == 999 and levels[-2:] == [0, -1]
    for level, sigma in zip(levels, edm.karras(0.01, 157.4, 18, 7.0), strict=False):
        signal, std = process.scales(level)
        assert math.log(std / signal) == pytest.approx(math.log(sigma), abs=0.25)
    with pytest.raises(LtdmError, match="fewer levels so spaced"):
        process.spaced(300, 7.0)


def test_a_range_that_is_empty_is_refused():
    with pytest.raises(LtdmError, match="above sigma_min"):
        parse(edm.Options, {"sigma_max": 0.001})


def test_edm2_on_ddpm_s_process_is_told_of_sigma():
    smoke = read_config([ROOT / "config/smoke.yaml"])
    network = {"name": "edm2", "ch": 8, "norm_groups": 4, "ch_mult": [1, 2], "num_res_blocks": 1}
    with pytest.raises(LtdmError, match="is conditioned on log_sigma"):
        Experiment(merge([smoke, {"defaults": {"network": network}}]))
    told = {"network": network, "process": {"name": "vp", "noise_conditioning": "log_sigma"}}
    Experiment(merge([smoke, {"defaults": told}]))
    process = double_process(noise_conditioning="log_sigma")
    _, heard = process.inputs(torch.zeros(2, 1, 1, 1), torch.tensor([0, 999]))
    torch.testing.assert_close(heard, process.sigma(torch.tensor([0, 999])).log() / 4)


def test_a_network_that_hears_numbers_does_not_go_with_edm(monkeypatch):
    """EDM has no option `noise_conditioning`: it always writes ln(sigma) / 4."""
    monkeypatch.setattr(mlp, "HEARS", "timestep", raising=False)
    given = (
        read_config([ROOT / "config/smoke.yaml"]),
        {"defaults": {"network": "mlp", "process": "vp"}},
    )
    Experiment(merge([*given]))
    with pytest.raises(LtdmError, match=r"is log_sigma, but mlp is conditioned on timestep"):
        Experiment(merge([*given, {"defaults": {"process": "edm"}}]))
