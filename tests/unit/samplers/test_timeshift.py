"""`timeshift`: `ddim` at its defaults, else a loop over images."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from ltdm.diffusion import edm, vp
from ltdm.plumbing.errors import OptionError
from ltdm.samplers import ddim, timeshift
from ltdm.samplers._denoise import denoiser
from tests.helpers.samplers import constant, double_vp, noisy_images, run
from tests.unit.samplers.test_grids import IET, OCLT
from tests.unit.samplers.test_samplers import noise_source, predict_noise

LABELS = torch.tensor([0, 1, 2])
CBDM_TS = {"grid": "leading", "last": "clean"}
CASES = [
    {"window": 10, "steps": 50},
    {"window": 10, "steps": 50, "carry": False},
    {"window": 11, "steps": 20, "cut": 450, "eta": 1.0, **CBDM_TS},
    {"window": 80, "steps": 20, "eta": 0.5, "extrapolate": 0.3, "eps_scale": 1.02, **CBDM_TS},
    {"window": 38, "steps": 50, "carry": False, "eta": 1.0, "eps_scale": 0.99, **OCLT},
    {"window": 30, "steps": 30, "extrapolate": 0.2, "grid": "trailing"},
    {"window": 30, "steps": 30, "extrapolate": 0.2, "eps_scale": 1.1, "clip_denoised": True},
    {"window": 20, "steps": 20, "extrapolate": 0.2, "eps_scale": 1.1, **IET},
]


class Recorder:
    """A denoiser that keeps the levels that it is called with: the grid's, and the images' own."""

    def __init__(self, process, **changes):
        options = {"predict": predict_noise, "labels": LABELS, "weight": constant(0), **changes}
        self.denoise, self.calls = denoiser(process=process, **options), []

    def __call__(self, x, level, levels=None):
        self.calls.append((level, None if levels is None else levels.tolist()))
        return self.denoise(x, level, levels)


def reference(process, levels, options):
    """Sample image by image in numpy, from the formulas written in alpha_bar."""
    a, noise, images, starts = np.array(process.alpha_bar), noise_source(), [], []
    draws = [noise().numpy() for _ in levels]
    for i in range(len(LABELS)):
        x, own, before, visited = draws[0][i], int(levels[0]), 0, []
        for k, (t, s) in enumerate(pairwise(map(int, levels))):
            start, end = own if options.carry else t, s
            if k > 0 and s > options.cut and options.window:
                half = options.window // 2
                near = range(max(s - half, 0), s + half + 1)
                end = min(near, key=lambda u: abs(np.var(x, ddof=1) - (1 - a[u])))
            batch = torch.tensor(x)[None], torch.tensor([start]), LABELS[i : i + 1]
            eps = predict_noise(*batch)[0].numpy() / options.eps_scale
            x0 = (x - np.sqrt(1 - a[start]) * eps) / np.sqrt(a[start])
            if options.clip_denoised:
                x0 = np.clip(x0, -1, 1)
                if options.noise_after_clip == "derived":
                    eps = (x - np.sqrt(a[start]) * x0) / np.sqrt(1 - a[start])
            r = options.extrapolate if k > 0 else 0
            ahead = (1 + r) * x0 - r * before
            variance = max(1 - a[start] / a[end], 0) * (1 - a[end]) / (1 - a[start])
            variance *= options.eta**2
            x = np.sqrt(a[end]) * ahead + np.sqrt(1 - a[end] - variance) * eps
            x = x + np.sqrt(variance) * draws[k + 1][i]
            before, own = x0, end
            visited.append(start)
        images.append(x)
        starts.append(visited)
    return torch.tensor(np.stack(images)), np.array(starts).T


@pytest.mark.parametrize("options", CASES)
def test_agrees_with_a_loop_over_images(options):
    process, parsed = double_vp(), timeshift.Options(**options)
    levels, denoise = timeshift.noise_levels(process, parsed), Recorder(double_vp())
    ours = timeshift.sample(denoise, process, noise_source(), levels, parsed)
    theirs, starts = reference(process, levels, parsed)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    visited = [own or [level] * len(LABELS) for level, own in denoise.calls]
    np.testing.assert_array_equal(visited, starts)
    assert parsed.carry == any(own for _, own in denoise.calls), "else the grid's levels alone"
    assert len(denoise.calls) == timeshift.evaluations(parsed)


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("options", [{}, OCLT, IET, {"grid": "trailing", "clip_denoised": True}])
@pytest.mark.parametrize("process", [double_vp(), vp.build(vp.Options())])
def test_defaults_are_ddim_bit_for_bit(process, options, eta):
    images = []
    for sampler in (ddim, timeshift):
        denoise, source = Recorder(process), noise_source()

        def noise(source=source):
            return source().to(process.std.dtype)

        images.append(run(sampler, denoise, process, noise, steps=20, eta=eta, **options))
    assert torch.equal(*images)


def test_an_image_s_level_does_not_depend_on_its_batch():
    x = noisy_images(420, 0.05, 40)
    together = timeshift.nearest_levels(double_vp(), x, 400, 38)
    alone = [timeshift.nearest_levels(double_vp(), one[None], 400, 38).item() for one in x]
    assert together.tolist() == alone
    assert len({*alone}) > 3


def test_the_first_step_and_those_to_cut_or_lower_are_not_shifted():
    process, denoise = double_vp(), Recorder(double_vp())
    options = {"steps": 10, "grid": "leading", "window": 100, "cut": 400}
    run(timeshift, denoise, process, noise_source(), **options)
    shifted = [level for level, own in denoise.calls if own]
    assert shifted == [700, 600, 500], "of 900, 800, .. 0"


def test_ties_go_to_the_lower_level_and_none_is_below_zero():
    process = double_vp(T=3)
    process.std = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    x = torch.arange(-2.0, 3, dtype=torch.float64).reshape(1, 1, 1, 5)  # of variance 2.5
    assert timeshift.nearest_levels(process, x, 1, 2).tolist() == [0]
    for scale, expected in ((0, 0), (10, 8)):
        level = timeshift.nearest_levels(double_vp(), scale * x, 3, 10)
        assert level.tolist() == [expected], "of 0 to 8"


def test_a_step_that_goes_back_adds_no_noise():
    process, denoise = double_vp(), Recorder(double_vp())
    options = {"steps": 100, "window": 18, "eta": 1.0, **CBDM_TS}
    x = run(timeshift, denoise, process, noise_source(), **options)
    own = np.array([levels for _, levels in denoise.calls if levels])
    assert (np.diff(own, axis=0) > 0).any()
    assert torch.isfinite(x).all()


def test_without_eta_noise_is_drawn_once():
    draws, noise = [], noise_source()
    options = {"steps": 20, "window": 40}
    run(
        timeshift, Recorder(double_vp()), double_vp(), lambda: draws.append(1) or noise(), **options
    )
    assert len(draws) == 1


def test_the_host_waits_for_no_value():
    """On the device `meta`, which has no values, reading one is an error."""
    process = double_vp().to("meta")
    z = torch.empty(3, 1, 4, 4, device="meta")
    options = {"steps": 20, "window": 30, "eta": 1.0, "extrapolate": 0.1, "eps_scale": 1.1}
    denoise = denoiser(lambda x, *rest: x, process, LABELS.to("meta"), constant(1.5))
    assert run(timeshift, denoise, process, lambda: z, **options).shape == z.shape


def test_guidance_has_the_grid_s_weight_and_both_branches_the_image_s_level():
    process, calls = double_vp(), []

    def predict(x, levels, labels):
        calls.append((levels.tolist(), labels.tolist()))
        return predict_noise(x, levels, labels)

    denoise = denoiser(predict, process, LABELS, lambda level: level / 100)
    x, own = noise_source()(), torch.tensor([195, 200, 207])
    guided = denoise(x, 200, own)
    assert calls == [([195, 200, 207] * 2, [0, 1, 2, -1, -1, -1])]
    for i in range(3):
        one = denoiser(predict_noise, process, LABELS[i : i + 1], constant(2))
        torch.testing.assert_close(guided[i], one(x[i : i + 1], own[i].item())[0])


@pytest.mark.parametrize(
    ("options", "process", "place", "message"),
    [
        ({"window": 1}, "vp", "window", "no effect unless window is at least 2"),
        ({"cut": 5}, "vp", "cut", "no effect unless window is at least 2"),
        ({"carry": False}, "vp", "carry", "no effect unless window is at least 2"),
        ({"window": 4}, "edm", "window", "for processes with timesteps"),
        ({"window": 4, "cut": 959}, "vp", "cut", "no step but the first ends above it; lower it"),
        ({"window": 4, "steps": 3}, "vp", "cut", "is 0, .* above it; raise steps"),
        ({"window": 40, "grid": "leading"}, "vp", "window", "must be below 20, the spacing"),
        ({"window": 4, "grid": "trailing"}, "edm", "grid", "for processes with timesteps"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, process, place, message):
    built = {"vp": vp.build(vp.Options()), "edm": edm.build(edm.Options())}[process]
    with pytest.raises(OptionError, match=message) as error:
        timeshift.noise_levels(built, timeshift.Options(**options))
    assert error.value.path == (place,)
