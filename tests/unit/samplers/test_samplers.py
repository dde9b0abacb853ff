"""Samplers against diffusers and against exact solutions; guidance and noise of images."""

import math

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    EDMDPMSolverMultistepScheduler,
    HeunDiscreteScheduler,
)

from ltdm.diffusion import edm, vp
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import parse
from ltdm.samplers import ancestral, ddim, dpmpp2m, heun, timeshift
from ltdm.samplers._denoise import denoiser, image_noise
from tests.helpers.samplers import constant, double_vp, run

SHAPE = (3, 1, 4, 4)


def predict_noise(x, level, labels):
    """A synthetic network in float64, smooth in all inputs."""
    bias = 0.1 * labels.double()[:, None, None, None]
    return torch.tanh(x + bias) * torch.cos(level.double() / 400)[:, None, None, None]


def noise_source(seed=0):
    """Return a source of noise that sampler and reference share: one generator, in order."""
    rng = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, generator=rng, dtype=torch.float64)


def settings(T):
    return {"num_train_timesteps": T, "beta_start": 1e-4, "beta_end": 0.02, "clip_sample": False}


@pytest.mark.parametrize(("variance", "name"), [("large", "fixed_large"), ("small", "fixed_small")])
def test_ancestral_agrees_with_diffusers(variance, name):
    reference = DDPMScheduler(**settings(50), variance_type=name)
    reference.set_timesteps(50)
    process = double_vp(T=50)
    labels = torch.tensor([0, 1, 2])
    denoise = denoiser(predict_noise, process, labels, constant(0))
    ours = run(ancestral, denoise, process, noise_source(), steps=50, variance=variance)
    x, rng = noise_source()(), torch.Generator().manual_seed(0)
    torch.randn(SHAPE, generator=rng, dtype=torch.float64)
    for t in range(49, -1, -1):
        F = predict_noise(x, torch.full((3,), t), labels)
        x = reference.step(F, t, x, generator=rng).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


def test_heun_agrees_with_diffusers():
    """On DDPM's levels, with a network that predicts eps, and half steps."""
    reference = HeunDiscreteScheduler(**settings(1000))
    reference.set_timesteps(10)
    levels = reference.timesteps[::2].tolist()
    process, labels, noise = double_vp(), torch.tensor([0, 1, 2]), noise_source()
    denoise = denoiser(predict_noise, process, labels, constant(0))
    z = noise()
    ours = run(heun, denoise, process, lambda: z, [*levels, -1], steps=10)
    x = z / process.signal_and_std(999)[0]
    assert len(reference.timesteps) == heun.evaluations(heun.Options(steps=10))
    for t in reference.timesteps:
        F = predict_noise(reference.scale_model_input(x, t), t.expand(3), labels)
        x = reference.step(F, t, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


def test_dpmpp2m_agrees_with_diffusers():
    """With EDM's preconditioning, which the reference applies itself."""
    process, labels = edm.build(edm.Options(logvar="none")).double(), torch.tensor([0, 1, 2])
    denoise = denoiser(predict_noise, process, labels, constant(0))
    z = noise_source()()
    ours = run(dpmpp2m, denoise, process, lambda: z, steps=20)
    reference = EDMDPMSolverMultistepScheduler()
    reference.set_timesteps(20)
    x = 80 * z
    for t in reference.timesteps:
        scaled = reference.scale_model_input(x, t)
        x = reference.step(predict_noise(scaled, t.expand(3), labels), t, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


SAMPLERS = (ddim, ancestral, heun, dpmpp2m, timeshift)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", [vp, edm])
def test_samplers_end_at_the_image_of_a_perfect_denoiser(sampler, kind):
    process = kind.build(kind.Options())
    x0 = torch.rand(SHAPE, dtype=torch.float64) * 2 - 1
    for steps in (1, 2, 10):
        samples = run(sampler, lambda x, t: x0, process, noise_source(), steps=steps)
        torch.testing.assert_close(samples, x0, rtol=0, atol=1e-12)


GAUSSIAN_CASES = [
    *((sampler, kind, {"steps": 500}) for sampler in (ddim, ancestral) for kind in (vp, edm)),
    *((sampler, kind, {"steps": 40}) for sampler in (heun, dpmpp2m) for kind in (vp, edm)),
    *((heun, kind, {"steps": 60, "S_churn": 30.0}) for kind in (edm, vp)),
    (heun, edm, {"steps": 60, "S_churn": 12.0, "S_min": 0.05, "S_max": 10.0}),
    *((timeshift, kind, {"steps": 500, "eta": 1.0}) for kind in (vp, edm)),
]


@pytest.mark.parametrize(("sampler", "kind", "options"), GAUSSIAN_CASES)
def test_samples_of_gaussian_data_have_its_mean_and_variance(sampler, kind, options):
    """For N(m, s^2) the optimal denoiser is known; samples must have the same distribution."""
    process, m, s = kind.build(kind.Options()), 0.4, 0.3

    def denoise(x, t):
        signal, std = process.signal_and_std(t)
        return m + signal * s**2 / (signal**2 * s**2 + std**2) * (x - signal * m)

    rng = torch.Generator().manual_seed(0)

    def noise():
        return torch.randn(20_000, 1, 1, 1, generator=rng, dtype=torch.float64)

    x = run(sampler, denoise, process, noise, **options)
    assert x.mean().item() == pytest.approx(m, abs=0.01)
    assert x.std().item() == pytest.approx(s, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": 0.005}, "at least 1"),
        ({"steps": 10**11}, "at most 100000"),
        ({"S_min": 2.0, "S_max": 1.0}, "is above S_max"),
    ],
)
def test_wrong_options_of_heun(options, message):
    with pytest.raises(OptionError, match=message):
        parse(heun.Options, options)


def test_heun_adds_noise_only_between_its_limits():
    process, draws = edm.build(edm.Options()), []
    options = {"S_churn": 7.46, "S_min": 0.01, "S_max": 1.0, "S_noise": 1.007}

    def noise():
        draws.append(1)
        return torch.zeros(SHAPE, dtype=torch.float64)

    run(heun, lambda x, t: 0.5 * x, process, noise, **options)
    inside = [level for level in process.sampler_levels(18) if 0.01 <= level <= 1]
    assert len(draws) == 1 + len(inside)
    hat = heun.churned_level(process, inside[0], heun.Options(**options))
    assert hat == pytest.approx(inside[0] * (1 + math.sqrt(2) - 1), rel=1e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_clip_denoised(sampler):
    process = vp.build(vp.Options())
    outside = torch.full(SHAPE, 3.0, dtype=torch.float64)
    samples = run(
        sampler, lambda x, t: outside, process, noise_source(), steps=3, clip_denoised=True
    )
    torch.testing.assert_close(samples, torch.ones_like(samples))


def test_guidance_makes_one_call_of_twice_the_batch():
    process, calls = double_vp(), []

    def predict(x, level, labels):
        calls.append(len(x))
        return predict_noise(x, level, labels)

    labels, x = torch.tensor([0, 1, 2]), noise_source()()
    guided = denoiser(predict, process, labels, constant(1.6))(x, 300)
    assert calls == [6]
    with_label = denoiser(predict, process, labels, constant(0))(x, 300)
    without = denoiser(predict, process, torch.tensor([-1, -1, -1]), constant(0))(x, 300)
    assert calls[1:] == [3, 3], "without guidance there is no unconditional branch"
    torch.testing.assert_close(guided, with_label + 1.6 * (with_label - without))


def test_noise_depends_on_seed_and_image_number_alone():
    cpu = torch.device("cpu")
    together, alone = (image_noise(3, i, (2, 5), cpu) for i in ([0, 1, 7], [7]))
    other = image_noise(4, [7], (2, 5), cpu)
    for _ in range(40):
        noise = alone()[0]
        assert torch.equal(together()[2], noise)
        assert not torch.equal(other()[0], noise)
