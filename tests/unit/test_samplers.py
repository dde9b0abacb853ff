import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from ltdm.diffusion import vp
from ltdm.samplers import ancestral, ddim
from ltdm.samplers._denoise import ImageNoise, denoiser

SHAPE = (3, 1, 4, 4)


def predict_noise(x, level, labels):
    """A made-up network: smooth in everything, float64."""
    bias = 0.1 * labels.double()[:, None, None, None]
    return torch.tanh(x + bias) * torch.cos(level.double() / 400)[:, None, None, None]


def stream(seed=0):
    """Noise as both sides draw it: one generator, in order."""
    rng = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, generator=rng, dtype=torch.float64)


class OnGrid(vp.VP):
    """The process with a sampling grid given from outside."""

    def __init__(self, options, levels):
        super().__init__(options)
        self.signal = torch.tensor(self.alpha_bar[:-1], dtype=torch.float64).sqrt()
        self.std = (1 - torch.tensor(self.alpha_bar[:-1], dtype=torch.float64)).sqrt()
        self.levels = levels

    def grid(self, steps):
        return self.levels


def settings(T):
    return {"num_train_timesteps": T, "beta_start": 1e-4, "beta_end": 0.02, "clip_sample": False}


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_agrees_with_diffusers(eta):
    oracle = DDIMScheduler(**settings(1000), set_alpha_to_one=True, timestep_spacing="leading")
    oracle.set_timesteps(20)
    steps = oracle.timesteps.tolist()
    process = OnGrid(vp.Options(), [*steps, -1])
    labels = torch.tensor([0, 1, 2])
    denoise = denoiser(predict_noise, process, labels, 0.0)
    ours = ddim.sample(denoise, process, stream(), ddim.Options(steps=20, eta=eta))
    noise = stream()
    x = noise()
    for t in steps:
        said = predict_noise(x, torch.full((3,), t), labels)
        z = noise() if eta > 0 and t > 0 else torch.zeros_like(x)
        x = oracle.step(said, t, x, eta=eta, variance_noise=z).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)  # the oracle's table is float32


@pytest.mark.parametrize(("variance", "name"), [("large", "fixed_large"), ("small", "fixed_small")])
def test_ancestral_agrees_with_diffusers(variance, name):
    oracle = DDPMScheduler(**settings(50), variance_type=name)
    oracle.set_timesteps(50)
    process = OnGrid(vp.Options(T=50), [*range(49, -1, -1), -1])
    labels = torch.tensor([0, 1, 2])
    denoise = denoiser(predict_noise, process, labels, 0.0)
    options = ancestral.Options(steps=50, variance=variance)
    ours = ancestral.sample(denoise, process, stream(), options)
    x, rng = stream()(), torch.Generator().manual_seed(0)
    torch.randn(SHAPE, generator=rng, dtype=torch.float64)
    for t in range(49, -1, -1):
        said = predict_noise(x, torch.full((3,), t), labels)
        x = oracle.step(said, t, x, generator=rng).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sampler", [ddim, ancestral])
def test_a_perfect_denoiser_is_believed_to_the_end(sampler):
    process = vp.build(vp.Options())
    x0 = torch.rand(SHAPE, dtype=torch.float64) * 2 - 1
    for steps in (1, 2, 10):
        made = sampler.sample(lambda x, t: x0, process, stream(), sampler.Options(steps=steps))
        torch.testing.assert_close(made, x0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", [ddim, ancestral])
def test_gaussian_data_come_out_with_their_mean_and_variance(sampler):
    """For N(m, s^2) the best denoiser is known, and the samples' law must be the data's."""
    process, m, s = vp.build(vp.Options()), 0.4, 0.3

    def denoise(x, t):
        ab = process.scales(t)[0] ** 2
        return m + math.sqrt(ab) * s**2 / (ab * s**2 + 1 - ab) * (x - math.sqrt(ab) * m)

    rng = torch.Generator().manual_seed(0)

    def noise():
        return torch.randn(20_000, 1, 1, 1, generator=rng, dtype=torch.float64)

    x = sampler.sample(denoise, process, noise, sampler.Options(steps=500))
    assert x.mean().item() == pytest.approx(m, abs=0.01)
    assert x.std().item() == pytest.approx(s, abs=0.01)


def test_clip_x0():
    process = vp.build(vp.Options())
    far = torch.full(SHAPE, 3.0, dtype=torch.float64)
    for sampler in (ddim, ancestral):
        made = sampler.sample(
            lambda x, t: far, process, stream(), sampler.Options(steps=3, clip_x0=True)
        )
        torch.testing.assert_close(made, torch.ones_like(made))


def test_guidance_is_one_call_of_two_batches():
    process = OnGrid(vp.Options(), [])
    calls = []

    def predict(x, level, labels):
        calls.append(len(x))
        return predict_noise(x, level, labels)

    labels, x = torch.tensor([0, 1, 2]), stream()()
    guided = denoiser(predict, process, labels, 1.6)(x, 300)
    assert calls == [6]
    with_label = denoiser(predict, process, labels, 0.0)(x, 300)
    without = denoiser(predict, process, torch.tensor([-1, -1, -1]), 0.0)(x, 300)
    assert calls[1:] == [3, 3], "without guidance the unconditional branch is not run"
    torch.testing.assert_close(guided, with_label + 1.6 * (with_label - without))


def test_image_noise_belongs_to_the_image():
    cpu = torch.device("cpu")
    together, alone = (ImageNoise(3, i, (2, 5), cpu) for i in ([0, 1, 7], [7]))
    other = ImageNoise(4, [7], (2, 5), cpu)
    for _ in range(40):
        drawn = alone()[0]
        assert torch.equal(together()[2], drawn)
        assert not torch.equal(other()[0], drawn)
