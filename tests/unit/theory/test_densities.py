"""Exact densities and scores under noise, the networks' own densities, Frechet distances."""

import math

import numpy as np
import pytest
import torch

from ltdm.data._mixtures import PRESETS, Gaussian
from ltdm.diffusion import vp
from ltdm.metrics import frechet as metric
from ltdm.plumbing.registry import parse_part
from ltdm.theory import flow, lab
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.measures import frechet
from ltdm.theory.options import Sweep
from ltdm.theory.points import rng

UNEVEN = (
    Gaussian((-1.0, 2.0, 0.5), (0.3, 1.0, 2.0), 3.0),
    Gaussian((1.0, -2.0, 0.0), (1.5, 0.2, 1.0), 1.0),
)
MIXTURES = {"uneven": UNEVEN, **PRESETS["overlapping"]}
PROCESS = vp.build(vp.Options())
HEUN = parse_part("sampler", {"name": "heun", "steps": 40}, ())


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("level", [0, 100, 400, 999])
def test_score_is_the_gradient_of_the_log_density(name, level):
    density, (signal, std) = Mixture(MIXTURES[name]), PROCESS.signal_and_std(level)
    d = density.means.shape[1]
    x = 4 * torch.randn(50, d, generator=rng("test", level), dtype=torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(density.log_density(x, signal, std).sum(), x)
    score = density.score(x, signal, std)
    assert float((score.detach() - gradient).abs().max() / gradient.abs().max()) < 1e-10


def test_log_density_is_that_of_a_sum_of_normal_distributions():
    x = torch.randn(20, 3, generator=rng("test", 0), dtype=torch.float64)
    terms = []
    for component in UNEVEN:
        mean = 0.6 * torch.tensor(component.mean, dtype=torch.float64)
        variance = 0.36 * torch.tensor(component.std, dtype=torch.float64) ** 2 + 0.64
        normal = torch.distributions.MultivariateNormal(mean, variance.diag())
        terms.append(math.log(component.weight / 4) + normal.log_prob(x))
    expected = torch.stack(terms).logsumexp(0)
    torch.testing.assert_close(Mixture(UNEVEN).log_density(x, 0.6, 0.8), expected)


def test_samples_have_the_moments():
    density = Mixture(UNEVEN)
    x = density.sample(200_000, rng("test", 0))
    mean, covariance = density.moments()
    torch.testing.assert_close(x.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(x.T.cov(), covariance, atol=0.05, rtol=0)


def test_frechet_distance_equals_the_metric_of_images():
    x = Mixture(UNEVEN).sample(500, rng("test", 0))
    mean, covariance = Mixture(UNEVEN).moments()
    exact = metric.Gaussian(np.zeros((4, 3)))
    exact.mean, exact.covariance = mean.numpy(), covariance.numpy()
    exact.trace = np.trace(exact.covariance)
    expected = metric.distance(exact, metric.Gaussian(x.numpy()))
    assert float(frechet(x, mean, covariance)) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_of_shifted_points_is_the_shift():
    x = torch.randn(3, 1000, 2, generator=rng("test", 0), dtype=torch.float64)
    x = (x - x.mean(-2, keepdim=True)) / x.std(-2, keepdim=True)
    for points in x:
        covariance = points.T.cov()
        assert float(frechet(points + 2, torch.zeros(2).double(), covariance)) == pytest.approx(8)


def normal(s):
    """Return a function of the exact F and its divergence for N(0, s^2 I)."""

    def exact(x, signal, std):
        rate = std / (signal**2 * s**2 + std**2)
        return rate * x, torch.full(x.shape[:-1], rate * x.shape[-1], dtype=x.dtype)

    return exact


def of_mixture(density):
    """Return a function of the exact F and its divergence for a mixture in two dimensions."""

    def exact(x, signal, std):
        x = x.detach().requires_grad_()
        F = -std * density.score(x, signal, std)
        slopes = [
            torch.autograd.grad(F[..., k].sum(), x, retain_graph=True)[0][..., k] for k in range(2)
        ]
        return F.detach(), sum(slopes)

    return exact


@pytest.mark.parametrize("sigma", [0.05, 0.1, 1.0])
def test_exact_noise_has_the_exact_density(sigma):
    times, g = flow.integration_times(PROCESS, sigma), rng("test", 0)
    signal, std = flow.signal_and_std(times[0])
    assert std / signal == pytest.approx(sigma)
    densities = {s: Mixture([Gaussian((0.0, 0.0), (s, s))]) for s in (0.5, 1.0, 2.0)}
    cases = [(normal(s), density) for s, density in densities.items()]
    cases += [(of_mixture(m), m) for m in map(Mixture, PRESETS["overlapping"].values())]
    for exact, density in cases:
        x = density.sample(300, g)
        x = signal * x + std * torch.randn(x.shape, generator=g, dtype=x.dtype)
        log_p = flow.log_density(exact, times, x)
        # The differences are due to the last level, which is not quite pure noise.
        torch.testing.assert_close(log_p, density.log_density(x, signal, std), atol=0.005, rtol=0)
        assert float((log_p - density.log_density(x, signal, std)).mean().abs()) < 3e-4


def test_kl_of_two_normal_distributions_is_the_closed_form():
    times, g, n = flow.integration_times(PROCESS, 0.1), rng("test", 0), 20_000
    signal, std = flow.signal_and_std(times[0])
    density = Mixture([Gaussian((0.0, 0.0), (1.0, 1.0))])
    x = signal * density.sample(n, g) + std * torch.randn(n, 2, generator=g, dtype=torch.float64)
    log_p = density.log_density(x, signal, std)
    kl = flow.kl(normal(2.0), log_p, times, x)
    ratio = (signal**2 + std**2) / (4 * signal**2 + std**2)
    exact = ratio - 1 - math.log(ratio)
    assert abs(float(kl.value) - exact) < 4 * float(kl.error) < 0.05
    same = flow.kl(normal(1.0), log_p, times, x)
    assert abs(float(same.value)) < 1e-4


def test_kl_of_networks_does_not_depend_on_the_steps(monkeypatch):
    """Networks are less smooth than exact scores, and inexact at pure noise."""
    sweep = Sweep(seeds=1, betas=(0.0, 1.0), steps=(100_000,), samples=10, kl_samples=100)
    kl = []
    for steps in (flow.RK4_STEPS, 16 * flow.RK4_STEPS):
        monkeypatch.setattr(flow, "RK4_STEPS", steps)
        run = lab.SweepRun(sweep, [0])
        _ = list(run.measure())
        kl.append(run.metrics.evaluate(run.final_weights)["kl"].value)
    torch.testing.assert_close(kl[0], kl[1], rtol=0.03, atol=0.003)


def test_divergence_is_the_trace_of_the_jacobian():
    net = RandomFeatures.sample([rng("layer", 0)], 32, 3)
    A = torch.randn(1, 2, 32, 3, generator=rng("test", 0), dtype=torch.float64)
    x = torch.randn(1, 2, 5, 3, generator=rng("test", 1), dtype=torch.float64)
    F, divergence = net.predict_with_divergence(A, x, 0.6, 0.8)
    torch.testing.assert_close(F, net.predict(A, x, 0.6, 0.8), rtol=0, atol=0)
    for model in range(2):
        for point in range(5):

            def predict(x, model=model):
                return net.predict(A[:, model, None], x, 0.6, 0.8).flatten()

            jacobian = torch.autograd.functional.jacobian(predict, x[:, model, None, None, point])
            jacobian = jacobian.view(3, 3)
            assert float(divergence[0, model, point]) == pytest.approx(float(jacobian.trace()))


def test_prediction_is_the_features_times_the_weights():
    net = RandomFeatures.sample([rng("layer", seed) for seed in range(2)], 16, 2)
    A = torch.randn(2, 3, 16, 2, generator=rng("test", 0), dtype=torch.float64)
    x = torch.randn(2, 3, 4, 2, generator=rng("test", 1), dtype=torch.float64)
    for model in range(3):
        signal, std = (torch.full((2, 4), v, dtype=torch.float64) for v in (0.6, 0.8))
        expected = net(x[:, model], signal, std) @ A[:, model]
        torch.testing.assert_close(net.predict(A, x, 0.6, 0.8)[:, model], expected)


def test_samplers_with_exact_scores_sample_the_mixture():
    density = Mixture(PRESETS["overlapping"]["head"])
    g = rng("test", 0)

    def noise():
        return torch.randn(4000, 2, generator=g, dtype=torch.float64)

    def predict(x, signal, std):
        return -std * density.score(x, signal, std)

    for sampler in (HEUN, parse_part("sampler", {"name": "ancestral", "steps": 200}, ())):
        x = flow.generate(predict, PROCESS, sampler, noise)
        assert float(frechet(x, *density.moments())) < 0.02
