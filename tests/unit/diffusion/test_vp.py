import pytest
import torch

from ltdm.diffusion import vp

PROCESS = vp.build(vp.Options())


@pytest.mark.parametrize(
    ("t", "alpha_bar"),
    [
        (0, 0.9999),
        (1, 0.99978009),
        (499, 0.0785872),
        (981, 5.78779e-5),
        (990, 4.83705e-5),
        (999, 4.03583e-5),
    ],
)
def test_golden_alpha_bar(t, alpha_bar):
    assert PROCESS.alpha_bar[t] == pytest.approx(alpha_bar, rel=2e-6)


def test_clean_image_is_level_minus_one():
    assert PROCESS.alpha_bar[-1] == 1.0
    assert len(PROCESS.alpha_bar) == 1001


def test_denoising_with_the_true_noise_inverts_corruption(rng):
    process = vp.build(vp.Options())
    process.signal, process.std = process.signal.double(), process.std.double()
    x0 = torch.randn(6, 1, 4, 4, generator=rng).double()
    noise = torch.randn(6, 1, 4, 4, generator=rng).double()
    t = torch.tensor([0, 1, 10, 499, 998, 999])
    x = process.corrupt(x0, noise, t)
    F = process.target(x0, noise, t)
    torch.testing.assert_close(process.to_denoised(F, x, t), x0, rtol=1e-10, atol=1e-10)


def test_corrupted_images_keep_unit_variance(rng):
    x = torch.randn(20_000, 1, 1, 1, generator=rng)
    noise = torch.randn(20_000, 1, 1, 1, generator=rng)
    t = PROCESS.draw_levels(20_000, rng)
    assert PROCESS.corrupt(x, noise, t).var().item() == pytest.approx(1, abs=0.03)


def test_levels_are_uniform_and_noise_progress_is_t_over_T(rng):
    t = PROCESS.draw_levels(100_000, rng)
    assert (t.min(), t.max()) == (0, 999)
    assert t.double().mean().item() == pytest.approx(499.5, abs=3 * 289 / 100_000**0.5)
    assert PROCESS.noise_progress(torch.tensor([0, 500])).tolist() == [0, 0.5]


def test_sampler_levels_run_from_the_last_timestep_to_the_clean_image():
    assert PROCESS.sampler_levels(5) == [999, 749, 500, 250, 0, -1]
    assert PROCESS.sampler_levels(1) == [999, -1]
    assert PROCESS.sampler_levels(1000) == [*range(999, -1, -1), -1]
