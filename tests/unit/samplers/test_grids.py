"""The grids, last steps and clipping of `ddim`: closed forms, hand-worked steps, diffusers."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler

from ltdm.diffusion import edm, vp
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import parse
from ltdm.samplers import ddim
from ltdm.samplers._denoise import denoiser
from tests.helpers.samplers import constant, double_vp, run
from tests.unit.samplers.test_samplers import noise_source, predict_noise, settings

OCLT = {"grid": "leading", "last": "alpha_bar_0"}
IET = {**OCLT, "offset": 1, "clip_denoised": True, "noise_after_clip": "predicted"}
GRIDS = [
    (OCLT, 100, [*range(990, -1, -10), 0]),
    (OCLT, 50, [*range(980, -1, -20), 0]),
    (OCLT, 7, [852, 710, 568, 426, 284, 142, 0, 0]),
    (IET, 50, [*range(981, 0, -20), 0]),
    ({"grid": "leading"}, 4, [750, 500, 250, 0, -1]),
    ({"grid": "trailing"}, 50, [*range(999, 0, -20), -1]),
    ({"grid": "trailing", "last": "alpha_bar_0"}, 3, [999, 666, 332, 0]),
    ({}, 4, [999, 666, 333, 0, -1]),
    ({"last": "alpha_bar_0"}, 3, [999, 500, 0, 0]),
]


@pytest.mark.parametrize(("options", "steps", "expected"), GRIDS)
def test_grids_by_hand_and_by_diffusers(options, steps, expected):
    parsed = ddim.Options(steps=steps, **options)
    assert ddim.noise_levels(vp.build(vp.Options()), parsed) == expected
    reference = DDIMScheduler(
        1000, timestep_spacing=parsed.grid, steps_offset=options.get("offset", 0)
    )
    reference.set_timesteps(steps)
    assert reference.timesteps.tolist() == expected[:-1]


@pytest.mark.parametrize(("options", "steps", "expected"), GRIDS)
def test_a_linear_noise_predictor_gives_the_product_of_its_factors(options, steps, expected):
    """With eps = k x, a step multiplies by sqrt(a_s / a_t) (1 - std_t k) + std_s k."""
    process, k = double_vp(), 0.3
    unclipped = {key: options[key] for key in options if "clip" not in key}
    denoise = denoiser(lambda x, *rest: k * x, process, torch.tensor([0, 1, 2]), constant(0))
    factor = 1.0
    for t, s in pairwise(expected):
        a_t, a_s = process.alpha_bar[t], process.alpha_bar[s]
        factor *= math.sqrt(a_s / a_t) * (1 - math.sqrt(1 - a_t) * k) + math.sqrt(1 - a_s) * k
    x = run(ddim, denoise, process, noise_source(), steps=steps, **unclipped)
    torch.testing.assert_close(x, factor * noise_source()(), rtol=1e-9, atol=0)


class PythagoreanVP(vp.VP):
    """Three timesteps with signal .96, .8 and .6, and std .28, .6 and .8."""

    def __init__(self):
        super().__init__(vp.Options(T=3))
        self.alpha_bar = [0.96**2, 0.8**2, 0.6**2, 1.0]


@pytest.mark.parametrize(
    ("noise_after_clip", "last", "expected"),
    [
        ("predicted", "clean", 1.0),
        ("derived", "clean", 1.0),
        ("predicted", "alpha_bar_0", 0.96 - 1.92 + (0.96 - 0.28 * 19 / 12)),
        ("derived", "alpha_bar_0", 1.1),
    ],
)
def test_three_steps_by_hand(noise_after_clip, last, expected):
    """A step maps x to signal_s 1 + std_s (x - 2 signal_t) / std_t, or with 1 in place of 2."""
    one, seen = torch.ones(1, 1, 1, 1, dtype=torch.float64), []

    def denoise(x, level):
        seen.append(x.item())
        return 2 * one

    options = {"grid": "leading", "clip_denoised": True, "noise_after_clip": noise_after_clip}
    x = run(ddim, denoise, PythagoreanVP(), lambda: one, steps=3, last=last, **options)
    second, third = {"predicted": (0.65, 0.96 - 0.28 * 19 / 12), "derived": (1.1, 1.1)}[
        noise_after_clip
    ]
    assert seen == pytest.approx([1, second, third], abs=1e-12)
    assert x.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("options", "clipped_noise"),
    [
        ({"grid": "leading"}, False),
        (OCLT, False),
        (IET, False),
        ({**IET, "noise_after_clip": "derived"}, True),
        ({"grid": "trailing"}, False),
        ({"grid": "trailing", "clip_denoised": True}, True),
    ],
)
def test_ddim_agrees_with_diffusers(options, clipped_noise, eta):
    reference = DDIMScheduler(
        **{**settings(1000), "clip_sample": options.get("clip_denoised", False)},
        set_alpha_to_one="last" not in options,
        timestep_spacing=options["grid"],
        steps_offset=options.get("offset", 0),
    )
    reference.set_timesteps(20)
    process, labels, noise = double_vp(), torch.tensor([0, 1, 2]), noise_source()
    denoise = denoiser(predict_noise, process, labels, constant(0))
    ours = run(ddim, denoise, process, noise_source(), steps=20, eta=eta, **options)
    x = noise()
    for t in reference.timesteps.tolist():
        F = predict_noise(x, torch.full((3,), t), labels)
        clip = {"use_clipped_model_output": clipped_noise}
        x = reference.step(F, t, x, eta=eta, variance_noise=noise(), **clip).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)  # the reference's table is float32


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ({"offset": 1}, "offset", "grid is linspace"),
        ({"offset": 2, "grid": "leading"}, "offset", "at most 1"),
        ({"noise_after_clip": "predicted"}, "noise_after_clip", "without clip_denoised"),
        ({"grid": "leadin"}, "grid", "did you mean 'leading'"),
    ],
)
def test_options_without_an_effect_are_refused(options, place, message):
    with pytest.raises(OptionError, match=message) as error:
        parse(ddim.Options, options)
    assert error.value.path == (place,)


@pytest.mark.parametrize(
    ("process", "options", "place"),
    [
        (edm.build(edm.Options()), {"grid": "trailing"}, "grid"),
        (edm.build(edm.Options()), {"last": "alpha_bar_0"}, "last"),
        (vp.build(vp.Options(T=50)), {"grid": "leading", "offset": 1}, "steps"),
        (vp.build(vp.Options(T=49)), {}, "steps"),
    ],
)
def test_levels_that_a_process_lacks_are_refused(process, options, place):
    with pytest.raises(OptionError) as error:
        ddim.noise_levels(process, ddim.Options(steps=50, **options))
    assert error.value.path == (place,)
