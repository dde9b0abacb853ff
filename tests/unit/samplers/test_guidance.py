"""Schedules of guidance: their weights, the calls that they save, and sampling without labels."""

import numpy as np
import pytest
import torch

from ltdm.diffusion import edm, vp
from ltdm.pipeline.cost import sampling_evaluations
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.files import read_npz
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import parse
from ltdm.samplers import ddim
from ltdm.samplers._denoise import denoiser
from ltdm.samplers._options import SampleOptions
from ltdm.stages import sample
from tests.helpers.samplers import double_vp, run
from tests.helpers.stages import make_request
from tests.unit.samplers.test_guide import experiment, models
from tests.unit.samplers.test_samplers import noise_source, predict_noise

__all__ = ["models"]
W = 1.5
SCHEDULES = {
    "constant": lambda t: W,
    "linear": lambda t: (1 - t / 1000) * (W + 1) - 1,
    "gamma: 100": lambda t: 100 ** (1 - t / 1000) / 100 * (W + 1) - 1,
    "gamma: 0.01": lambda t: (1 - 0.01 ** (1 - t / 1000)) * (W + 1) - 1,
}


def options(**given):
    return parse(SampleOptions, given)


def schedule(text):
    kind, _, number = text.partition(": ")
    return {kind: float(number)} if number else kind


@pytest.mark.parametrize("text", SCHEDULES)
def test_schedules_have_their_closed_form(text):
    process = vp.build(vp.Options())
    weight = options(guidance=W, guidance_schedule=schedule(text)).guidance_weight
    for t in (0, 10, 500, 990, 999):
        assert weight(process, float(t)) == pytest.approx(SCHEDULES[text](t), abs=1e-6)


@pytest.mark.parametrize("kind", [vp, edm])
def test_an_interval_guides_between_its_bounds_alone(kind):
    process, bounds = kind.build(kind.Options()), (0.28, 2.9)
    parsed = options(guidance=W, guidance_schedule={"interval": [*bounds]})
    levels = process.karras_levels(40, 7)[:-1]
    sigmas = [float(process.sigma(process.level_tensor(level, 1))) for level in levels]
    weights = [parsed.guidance_weight(process, level) for level in levels]
    inside = [bounds[0] < sigma <= bounds[1] for sigma in sigmas]
    assert weights == [W if each else 0 for each in inside]
    assert 5 < sum(inside) < 35


def test_an_interval_includes_its_upper_bound_and_not_its_lower():
    process = edm.build(edm.Options())
    weight = options(guidance=W, guidance_schedule={"interval": [0.5, 2]}).guidance_weight
    assert [weight(process, sigma) for sigma in (0.5, 0.51, 2.0, 2.01)] == [0, W, W, 0]


def always(guidance):
    return lambda process, level: guidance


def sampled(weight, labels=(0, 1, 2)):
    """Return ten steps of DDIM, and the rows of each call of the network."""
    process, rows = double_vp(), []

    def predict(x, level, labels):
        rows.append(len(x))
        return predict_noise(x, level, labels)

    denoise = denoiser(predict, process, torch.tensor(labels), lambda t: weight(process, t))
    return run(ddim, denoise, process, noise_source(), steps=10), rows


def test_the_null_call_is_made_where_the_weight_is_not_0_alone():
    halves = options(guidance=W, guidance_schedule={"interval": [1.0, 200]})
    x, rows = sampled(halves.guidance_weight)
    assert sorted(set(rows)) == [3, 6]
    assert rows == sorted(rows, reverse=True), "guided at high noise, not at low"
    everywhere, nowhere = ({"interval": bounds} for bounds in ([0, 1e6], [1e5, 1e6]))
    for given, expected in ((everywhere, W), (nowhere, 0.0)):
        result, _ = sampled(options(guidance=W, guidance_schedule=given).guidance_weight)
        assert torch.equal(result, sampled(always(expected))[0])
        assert not torch.equal(result, x)


def test_a_weight_of_minus_1_is_the_network_without_labels():
    torch.testing.assert_close(sampled(always(-1.0))[0], sampled(always(0.0), (-1, -1, -1))[0])


def test_the_plan_counts_the_null_calls_that_are_made():
    interval = {"guidance_schedule": {"interval": [1.0, 200]}}
    sample_sets = {"main": {}, "interval": interval}
    run = experiment(sample_sets=sample_sets, grid={"sample_set": [*sample_sets]}).runs[
        "digits-lt", "cbdm"
    ]
    levels = ddim.noise_levels(double_vp(), run.samples["main"].sampler.options)
    images, steps = run.samples["main"].num_images, len(levels) - 1
    above = sum(double_vp().signal_and_std(t)[0] ** 2 < 0.5 for t in levels[:-1])
    assert 0 < above < steps
    assert sampling_evaluations(run, "main") == images * steps * 2
    assert sampling_evaluations(run, "interval") == pytest.approx(images * (steps + above))


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"guidance_schedule": "linear"}, "guidance_schedule", "guidance is above 0"),
        ({"guidance_schedule": "lineal"}, "guidance_schedule", "must be constant, linear"),
        ({"guidance_schedule": {"gama": 3}}, "guidance_schedule", "did you mean 'gamma'"),
        ({"guidance_schedule": {"gamma": 0}}, "gamma", "above 0"),
        ({"guidance_schedule": {"gamma": True}}, "gamma", "above 0"),
        ({"guidance_schedule": {"interval": [2, 1]}}, "interval", "lower one first"),
        ({"guidance_schedule": {"interval": [1]}}, "interval", "two values of sigma"),
        ({"guidance_schedule": {"linear": 1}}, "guidance_schedule", "must be constant, linear"),
        ({"guidance": 1.0, "label": "none"}, "label", "guidance needs labels"),
        ({"label": "null"}, "label", "is not known"),
    ],
)
def test_wrong_options_are_refused(given, place, message):
    with pytest.raises(OptionError, match=message) as error:
        options(**given)
    assert error.value.path[-1] == place


@pytest.mark.parametrize("value", ["linear", {"gamma": 100.0}, {"interval": [0.28, 2.9]}])
def test_a_schedule_is_written_as_it_was_read(value):
    parsed = options(guidance=W, guidance_schedule=value)
    assert non_defaults(parsed) == {"guidance": W, "guidance_schedule": value}
    assert "guidance " in parsed.sampler_label


@pytest.mark.parametrize(
    ("method", "end"),
    [("cbdm", r"above 0 \("), ({"name": "igd", "mode": "separate"}, r"leave it out \(")],
)
def test_a_network_without_an_unconditional_branch_is_not_sampled_without_labels(method, end):
    own = {"train": {"label_dropout": 0}, "sample": {"label": "none", "guidance": 0}}
    with pytest.raises(OptionError, match=f"never trained without labels.*{end}") as error:
        experiment(runs={"cbdm": {"method": method, **own}}, grid={"sample_set": ["main"]})
    assert error.value.path[-1] == "label"


def sample_set(models, folder, **given):
    """Return the images and labels of a sample set of the strong network."""
    files = {"samples": folder / "s.npz", "record": folder / "s.json"}
    request = make_request({"sampler": {"name": "ddim", "steps": 3}, **given})
    sample.run(request, model=models / "strong.safetensors", guide=None, **files)
    return read_npz(files["samples"], "images", "labels")


def test_a_conditional_network_samples_without_labels(models, tmp_path):
    unlabelled, labels = sample_set(models, tmp_path, num_images=7, label="none")
    assert np.array_equal(labels, np.full(7, -1))
    labelled, _ = sample_set(models, tmp_path, num_images=12)
    assert not np.array_equal(unlabelled, labelled[:7])


def test_a_sample_set_follows_its_schedule(models, tmp_path):
    """Guided nowhere, its images are those without guidance; guided everywhere, those with it."""

    def images(**given):
        return sample_set(models, tmp_path, num_images=12, **given)[0]

    nowhere, everywhere = ({"interval": bounds} for bounds in ([1e5, 1e6], [0, 1e6]))
    plain, guided = images(), images(guidance=W)
    assert not np.array_equal(plain, guided)
    assert np.array_equal(images(guidance=W, guidance_schedule=nowhere), plain)
    assert np.array_equal(images(guidance=W, guidance_schedule=everywhere), guided)
