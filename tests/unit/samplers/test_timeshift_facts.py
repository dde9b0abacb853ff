"""What the docstring of `timeshift` says of pixels' variances and of extrapolation."""

import math

import pytest
import torch

from ltdm.samplers import timeshift
from tests.helpers.samplers import double_vp, noisy_images, run


@pytest.mark.parametrize(
    ("variance", "steps", "expected"),
    [
        (1, 10, [0.81459, 0.86904, 0.93470, 1.22774, 1.74725]),
        (1, 50, [0.96338, 1.01776, 1.08252, 1.38739, 2.16184]),
        (1, 1000, [0.99812, 1.05222, 1.11620, 1.41298, 2.24183]),
        (0.25, 50, [0.47192, 0.49822, 0.52955, 0.67412, 0.99164]),
    ],
)
def test_extrapolation_inflates_the_standard_deviation(variance, steps, expected):
    """An exact denoiser of N(0, variance) is linear: the image of noise 1 is the deviation."""
    process, one = double_vp(), torch.ones(1, 1, 1, 1, dtype=torch.float64)

    def denoise(x, t):
        signal, std = process.signal_and_std(t)
        return signal * variance / (signal**2 * variance + std**2) * x

    for r, deviation in zip([0, 0.1, 0.2, 0.5, 0.8], expected, strict=True):
        x = run(timeshift, denoise, process, lambda: one, steps=steps, extrapolate=r)
        assert x.item() == pytest.approx(deviation, abs=6e-6)
        if steps == 1000:
            assert x.item() == pytest.approx((1 - r) ** -0.5, rel=3e-3), "the limit"


@pytest.mark.parametrize("variance", [0, 0.2])
@pytest.mark.parametrize("spacing", [10, 20])
def test_at_high_noise_the_shift_is_a_coin_toss(variance, spacing):
    for level in (700, 800, 900):
        x = noisy_images(level + spacing, variance)
        shift = timeshift.nearest_levels(double_vp(), x, level, 10) - level
        up, down = ((shift == end).double().mean().item() for end in (5, -5))
        assert up + down > 0.95
        assert 0.4 < down < 0.6


def test_at_low_noise_the_shift_is_a_constant_delay():
    for level, least, most in ((500, 0.7, 0.9), (300, 0.99, 1), (100, 1, 1)):
        shifted = timeshift.nearest_levels(double_vp(), noisy_images(level + 10, 0.2), level, 10)
        assert least <= (shifted == level + 5).double().mean() <= most


def test_the_scatter_of_the_variance_in_timesteps():
    process, scatter = double_vp(), math.sqrt(2 / 3072)
    assert scatter == pytest.approx(0.0255, abs=5e-5)
    noise = [1 - a for a in process.alpha_bar]
    for t, expected in ((900, 5141), (800, 1037), (700, 259), (550, 48), (300, 6.4)):
        steps = scatter * noise[t] / (noise[t] - noise[t - 1])
        assert steps == pytest.approx(expected, rel=0.01)


def test_a_deterministic_trajectory_stays_at_one_end():
    process, rng = double_vp(), torch.Generator().manual_seed(0)
    z = torch.randn(8, 3, 32, 32, generator=rng, dtype=torch.float64)

    def denoise(x, level, levels=None):
        signal, std = process.signal_and_std(level)
        x0 = 0.2 * signal / (0.2 * signal**2 + std**2) * x
        ends.append((levels - level).tolist() if levels is not None else None)
        return x0

    ends = []
    run(timeshift, denoise, process, lambda: z, steps=50, window=10, cut=700, grid="leading")
    shifted = [end for end in ends if end]
    assert len(shifted) > 10
    assert all(end == shifted[0] for end in shifted)
    assert {*shifted[0]} == {-5, 5}
    above = z.flatten(1).var(dim=1) > 1
    assert [end == 5 for end in shifted[0]] == above.tolist()
