"""Guidance by a weaker network: its calls, its record, and the settings that it excludes."""

import numpy as np
import pytest
import torch

from ltdm.config.artefacts import inputs
from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, read_config
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, read_npz, write_npz
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import parse
from ltdm.samplers._denoise import denoiser
from ltdm.samplers._options import SampleOptions
from ltdm.stages import sample
from ltdm.stages import train as stage
from tests.conftest import ROOT
from tests.helpers.samplers import constant
from tests.helpers.smoke_config import SMOKE
from tests.helpers.stages import make_request
from tests.helpers.training import data
from tests.unit.samplers.test_samplers import noise_source, predict_noise
from tests.unit.training.test_edm_training import spec

MUTUAL = {"cbdm": "ddpm", "ddpm": "cbdm"}


def test_the_guide_gets_the_same_labels_and_the_result_extrapolates_from_it():
    from ltdm.diffusion import edm

    process, calls = edm.build(edm.Options(logvar="none")).double(), []

    def weaker(x, level, labels):
        calls.append(labels.tolist())
        return 0.5 * predict_noise(x, level, labels)

    labels, x = torch.tensor([0, 1, 2]), noise_source()()
    guided = denoiser(predict_noise, process, labels, constant(1.5), weaker)(x, 3.0)
    strong = denoiser(predict_noise, process, labels, constant(0))(x, 3.0)
    weak = denoiser(weaker, process, labels, constant(0))(x, 3.0)
    assert calls == [[0, 1, 2], [0, 1, 2]]
    torch.testing.assert_close(guided, strong + 1.5 * (strong - weak))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Train a network and a weaker, smaller one; return their folder."""
    folder = tmp_path_factory.mktemp("models")
    images, labels = data()
    write_npz(folder / "train.npz", images=images, labels=labels)
    for name, steps in (("strong", 12), ("weak", 4)):
        own = spec(steps=steps)
        own["network"] = {**own["network"], "ch": 8 if name == "strong" else 4}
        files = {"model": folder / f"{name}.safetensors", "record": folder / f"{name}.json"}
        stage.run(
            make_request(own),
            data=folder / "train.npz",
            init=None,
            history=folder / "h.csv",
            **files,
        )
    return folder


def test_records_name_the_guide_and_shards_equal_one_job(models, tmp_path):
    sampler = {"name": "heun", "steps": 3, "S_churn": 5}
    options = {"sampler": sampler, "num_images": 12, "guidance": 1.0, "guide_run": "weak"}
    request = non_defaults(parse(SampleOptions, options))
    model, guide = models / "strong.safetensors", models / "weak.safetensors"
    files = {"samples": tmp_path / "s.npz", "record": tmp_path / "s.json"}
    sample.run(make_request(request), model=model, guide=guide, shards=None, **files)
    record = read_json(files["record"])
    assert record["guide"] == read_json(models / "weak.json")["key"]
    assert record["sampler"].endswith("guided by weak")
    (in_one_job,) = read_npz(files["samples"], "images")
    shards = [tmp_path / f"{k}.npz" for k in range(2)]
    for k, shard in enumerate(shards):
        sample.run_shard(
            make_request(request, shard=[k, 2]), model=model, guide=guide, images=shard
        )
    sample.run(make_request(request), model=model, guide=guide, shards=shards, **files)
    assert np.array_equal(read_npz(files["samples"], "images")[0], in_one_job)
    sample.run(make_request(request), model=model, guide=model, shards=None, **files)
    assert not np.array_equal(read_npz(files["samples"], "images")[0], in_one_job)


def experiment(**overlay):
    """The smoke config with a sample set that `ddpm` guides, and other settings over it."""
    smoke = read_config([ROOT / "config/smoke.yaml"])
    guided = {
        "sample_sets": {"main": {}, "guided": {"guide_run": "ddpm"}},
        "grid": {"run": ["cbdm"], "sample_set": ["main", "guided"]},
    }
    return Experiment(merge([smoke, guided, overlay]))


def test_a_guide_outside_the_grid_is_trained_as_well():
    config = experiment()
    assert set(config.runs) == {("digits-lt", "ddpm"), ("digits-lt", "cbdm")}
    assert config.runs["digits-lt", "ddpm"].samples == {}
    keys = {"dataset": "digits-lt", "run": "cbdm", "seed": 0}
    assert inputs(config.plan, "sample", {**keys, "sample_set": "main"})["guide"] is None
    guide = inputs(config.plan, "sample", {**keys, "sample_set": "guided"})["guide"]
    assert guide == config.layout.path("train.model", **{**keys, "run": "ddpm"})


def test_a_guide_may_differ_in_settings_of_training():
    network = {"name": "edm2", "ch": 8, "norm_groups": 4, "ch_mult": [1, 2], "num_res_blocks": 1}
    config = experiment(
        defaults={"network": network, "process": {"name": "edm"}},
        runs={"ddpm": {"network": {"config": "C"}, "process": {"logvar": "linear"}}},
    )
    assert config.runs["digits-lt", "cbdm"].samples["guided"].guide_run == "ddpm"


def test_runs_may_guide_each_other():
    runs = {run: {"sample": {"guide_run": guide}} for run, guide in MUTUAL.items()}
    assert len(experiment(grid={"run": [*MUTUAL], "sample_set": ["main"]}, runs=runs).runs) == 2


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"sample_sets": {"guided": {"guide_run": "ddmp"}}}, "did you mean 'ddpm'"),
        ({"sample_sets": {"guided": {"guide_run": "cbdm"}}}, "the run itself"),
        ({"runs": {"ddpm": {"process": {"T": 500}}}}, "whose process is"),
        ({"runs": {"ddpm": {"train": {"label_dropout": 1}}}}, "whose use of labels is nothing"),
        ({"sample_sets": {"guided": {"guidance": 0}}}, "no effect unless guidance is above 0"),
    ],
)
def test_an_unsuitable_guide_is_an_error(overlay, message):
    with pytest.raises(OptionError, match=message):
        experiment(**overlay)


def test_a_missing_guide_is_an_error(models, tmp_path):
    with pytest.raises(LtdmError, match="is missing"):
        sample.run(
            make_request({"num_images": 12, "guidance": 1.0, "guide_run": "gone"}),
            model=models / "strong.safetensors",
            guide=tmp_path / "gone.safetensors",
            shards=None,
            samples=tmp_path / "s.npz",
            record=tmp_path / "s.json",
        )


def test_a_guide_may_leave_out_the_sample_set_that_it_guides():
    sets = {"main": {}, "guided": {"guidance": 1.0, "guide_run": "ddpm"}}
    runs = {"ddpm": {"omit_sample_sets": ["guided"]}}
    over = {"sample_sets": sets, "runs": runs, "grid": {"sample_set": [*sets]}}
    plan = Experiment(merge([SMOKE, over])).plan
    keys = {"dataset": "digits-lt", "run": "cbdm", "seed": 0, "sample_set": "guided"}
    assert inputs(plan, "sample", keys)["guide"].parts[-3:-1] == ("ddpm", "seed-0")
