"""Guidance by class: its weights, where it acts, the counts that it needs, and what excludes it."""

import numpy as np
import pytest
import torch

from ltdm.config.requests import request
from ltdm.diffusion import vp
from ltdm.diffusion._model import Model
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, read_npz
from ltdm.samplers._denoise import denoiser
from ltdm.samplers._guidance import class_guidance
from ltdm.stages import sample
from tests.helpers.samplers import constant
from tests.helpers.stages import make_request
from tests.helpers.training import CPU, NoWaiting
from tests.unit.samplers.test_guidance import SCHEDULES, W, options, schedule
from tests.unit.samplers.test_guide import experiment, models
from tests.unit.samplers.test_samplers import noise_source, predict_noise

__all__ = ["models"]
COUNTS = [30, 7, 3]  # of the networks of `models`


@pytest.mark.parametrize("power", [-2, -0.5, 0, 0.5, 1, 2])
def test_the_weight_of_a_class_has_its_closed_form(power):
    weights = class_guidance(W, power, COUNTS)
    frequency = np.array(COUNTS) / sum(COUNTS)
    np.testing.assert_allclose(weights, W * (frequency * 3) ** -power, rtol=1e-14)
    assert class_guidance(W, power, [9, 9, 9]) == [W] * 3
    assert (weights[2] > W > weights[0]) == (power > 0)


def generator(models, spec, counts=COUNTS):
    spec = options(**{"sampler": {"name": "ddim", "steps": 3}, "num_images": 12, **spec})
    model = Model.from_file(models / "strong.safetensors", "ema", "fp32", CPU)
    return sample.SampleGenerator(model, spec, 5, None, counts)


@pytest.mark.parametrize("text", [*SCHEDULES, "interval"])
def test_each_class_follows_the_schedule_with_its_own_weight(models, text):
    """It takes the place of w in the schedule, and outside an interval there is no weight."""
    form = {"interval": [1.0, 200]} if text == "interval" else schedule(text)
    spec = {"guidance": W, "guidance_schedule": form}
    process, labels = vp.build(vp.Options()), torch.tensor([2, 0, 1, 1])
    images = generator(models, {**spec, "guidance_power": 0.7})
    images.process = process
    weight = images._weight(labels)
    for level in (10.0, 500.0, 990.0):
        result = weight(level)
        expected = [
            options(**{**spec, "guidance": class_guidance(W, 0.7, COUNTS)[label]}).guidance_weight(
                process, level
            )
            for label in labels.tolist()
        ]
        if isinstance(result, float):
            assert [result] * 4 == expected == [0.0] * 4
        else:
            assert result.shape == (4, 1, 1, 1) and result.dtype == torch.float32
            assert result.flatten().tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("guide", [None, lambda *inputs: 0.5 * predict_noise(*inputs)])
def test_each_image_is_guided_as_alone_with_its_weight(guide):
    process, labels = vp.build(vp.Options()).double(), torch.tensor([0, 1, 2])
    weights, x = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64), noise_source()()
    each = weights.reshape(-1, 1, 1, 1)
    with NoWaiting():
        together = denoiser(predict_noise, process, labels, constant(each), guide)(x, 300)
    for row in range(3):
        one = slice(row, row + 1)
        w = constant(weights[row].item())
        alone = denoiser(predict_noise, process, labels[one], w, guide)(x[one], 300)
        torch.testing.assert_close(together[one], alone)


def sampled(models, folder, counts=COUNTS, guide=None, **given):
    """Return the images of a sample set of the strong network, and the set's record."""
    files = {"samples": folder / "s.npz", "record": folder / "s.json"}
    spec = {"sampler": {"name": "ddim", "steps": 3}, "num_images": 12, "guidance": W, **given}
    more = {"class_counts": counts} if counts else {}
    sample.run(
        make_request(spec, **more), model=models / "strong.safetensors", guide=guide, **files
    )
    return read_npz(files["samples"], "images")[0], read_json(files["record"])


def test_the_images_of_each_class_are_those_of_its_weight_alone(models, tmp_path):
    images, record = sampled(models, tmp_path, guidance_power=0.5)
    assert record["sampler"].endswith(", guidance power 0.5")
    assert record["class_counts"] == COUNTS
    labels = np.arange(12) % 3
    for label, w in enumerate(class_guidance(W, 0.5, COUNTS)):
        alone, _ = sampled(models, tmp_path, (), guidance=w)
        gap = np.abs(images[labels == label].astype(int) - alone[labels == label])
        assert gap.max() <= 1, "a rounded weight may move a pixel to the next value"
    plain, record = sampled(models, tmp_path, ())
    assert "guidance power" not in record["sampler"]
    assert not np.array_equal(images, plain)


def test_power_0_and_equal_counts_change_no_bit(models, tmp_path):
    plain, _ = sampled(models, tmp_path, ())
    zero, _ = sampled(models, tmp_path, guidance_power=0)
    equal, _ = sampled(models, tmp_path, [5, 5, 5], guidance_power=1)
    assert np.array_equal(zero, plain)
    assert np.array_equal(equal, plain)


def test_it_acts_with_a_guide_and_in_shards(models, tmp_path):
    guide = models / "weak.safetensors"
    spec = {"guide_run": "weak", "guidance_power": 0.5}
    images, record = sampled(models, tmp_path, guide=guide, **spec)
    assert not np.array_equal(images, sampled(models, tmp_path, guide=guide, guide_run="weak")[0])
    shards = [tmp_path / f"{k}.npz" for k in range(2)]
    whole = make_request(record["spec"], class_counts=COUNTS)
    files = {"model": models / "strong.safetensors", "guide": guide}
    for k, shard in enumerate(shards):
        sample.run_shard({**whole, "shard": [k, 2]}, images=shard, **files)
    merged = {"samples": tmp_path / "m.npz", "record": tmp_path / "m.json"}
    sample.run(whole, shards=shards, **files, **merged)
    assert np.array_equal(read_npz(merged["samples"], "images")[0], images)


@pytest.mark.parametrize("counts", [(), [30, 7]])
def test_counts_that_do_not_fit_the_classes_are_refused(models, tmp_path, counts):
    with pytest.raises(LtdmError, match=r"images of 3 classes, and \d counts.*power to 0"):
        sampled(models, tmp_path, counts, guidance_power=1)


def test_a_request_has_the_counts_only_where_they_matter():
    """So no sample set without a power runs again; with one, other counts are another set."""
    sets = {"main": {}, "power": {"guidance_power": -0.5}}
    config = experiment(sample_sets=sets, grid={"sample_set": [*sets]})
    counts = config.datasets["digits-lt"].class_counts
    keys = {"dataset": "digits-lt", "run": "cbdm", "seed": 0}
    requests = {name: request(config, "sample", {**keys, "sample_set": name}) for name in sets}
    assert "class_counts" not in requests["main"]
    assert requests["power"]["class_counts"] == counts
    assert repr(counts) in repr(requests["power"])
    part = {**keys, "sample_set": "power", "scatteritem": "1-of-2"}
    assert request(config, "sample_shard", part)["class_counts"] == counts


@pytest.mark.parametrize("power", [-3, 2.5, "nan"])
def test_a_power_out_of_range_is_refused(power):
    with pytest.raises(OptionError) as error:
        options(guidance=W, guidance_power=power)
    assert error.value.path == ("guidance_power",)


def test_a_power_without_guidance_is_refused():
    with pytest.raises(OptionError, match="no effect unless guidance is above 0"):
        options(guidance_power=1)


def test_an_unconditional_network_has_no_classes_to_weigh():
    alone = {"train": {"label_dropout": 1}}
    guided = {"sample": {"guide_run": "ddpm", "guidance": 1, "guidance_power": 1}}
    with pytest.raises(OptionError, match="needs classes, and the network is uncond") as error:
        experiment(
            runs={"ddpm": alone, "cbdm": {"method": "ddpm", **alone, **guided}},
            grid={"sample_set": ["main"]},
        )
    assert error.value.path[-1] == "guidance_power"
