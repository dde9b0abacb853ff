"""Guidance by a weaker network: what is asked of whom, and what does not go together."""

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
from tests.helpers.stages import asked
from tests.unit.samplers.test_samplers import predict_noise, stream
from tests.unit.training.test_edm_training import spec
from tests.unit.training.test_training import data


def test_the_guide_is_asked_under_the_same_labels_and_extrapolated_from():
    from ltdm.diffusion import edm

    process, calls = edm.build(edm.Options(logvar="none")).double(), []

    def weaker(x, level, labels):
        calls.append(labels.tolist())
        return 0.5 * predict_noise(x, level, labels)

    labels, x = torch.tensor([0, 1, 2]), stream()()
    made = denoiser(predict_noise, process, labels, 1.5, weaker)(x, 3.0)
    strong = denoiser(predict_noise, process, labels, 0.0)(x, 3.0)
    weak = denoiser(weaker, process, labels, 0.0)(x, 3.0)
    assert calls == [[0, 1, 2], [0, 1, 2]]
    torch.testing.assert_close(made, strong + 1.5 * (strong - weak))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A network and a weaker one, of another size."""
    folder = tmp_path_factory.mktemp("models")
    images, labels = data()
    write_npz(folder / "train.npz", images=images, labels=labels)
    for name, updates in (("strong", 12), ("weak", 4)):
        own = spec(steps=updates)
        own["network"] = {**own["network"], "ch": 8 if name == "strong" else 4}
        files = {"model": folder / f"{name}.safetensors", "record": folder / f"{name}.json"}
        stage.run(
            asked(own), data=folder / "train.npz", init=None, history=folder / "h.csv", **files
        )
    return folder


def test_a_sample_set_says_who_guided_it_and_shards_agree(models, tmp_path):
    sampler = {"name": "heun", "steps": 3, "S_churn": 5}
    given = {"sampler": sampler, "num_images": 12, "guidance": 1.0, "guide_run": "weak"}
    wanted = non_defaults(parse(SampleOptions, given))
    model, guide = models / "strong.safetensors", models / "weak.safetensors"
    files = {"samples": tmp_path / "s.npz", "record": tmp_path / "s.json"}
    sample.run(asked(wanted), model=model, guide=guide, shards=None, **files)
    record = read_json(files["record"])
    assert record["guide"] == read_json(models / "weak.json")["key"]
    assert record["sampler"].endswith("guided by weak")
    (whole,) = read_npz(files["samples"], "images")
    parts = [tmp_path / f"{k}.npz" for k in range(2)]
    for k, part in enumerate(parts):
        sample.shard(asked(wanted, shard=[k, 2]), model=model, guide=guide, images=part)
    sample.run(asked(wanted), model=model, guide=guide, shards=parts, **files)
    assert np.array_equal(read_npz(files["samples"], "images")[0], whole)
    sample.run(asked(wanted), model=model, guide=model, shards=None, **files)
    assert not np.array_equal(read_npz(files["samples"], "images")[0], whole)


def experiment(**overlay):
    smoke = read_config([ROOT / "config/smoke.yaml"])
    guided = {"sample_sets": {"main": {}, "guided": {"guide_run": "ddpm"}},
              "grid": {"run": ["cbdm"], "sample_set": ["main", "guided"]}}  # fmt: skip
    return Experiment(merge([smoke, guided, overlay]))


def test_a_guide_is_trained_though_it_is_not_in_the_grid():
    made = experiment()
    assert set(made.runs) == {("digits-lt", "ddpm"), ("digits-lt", "cbdm")}
    assert made.runs["digits-lt", "ddpm"].samples == {}
    keys = {"dataset": "digits-lt", "run": "cbdm", "seed": 0}
    assert inputs(made, "sample", {**keys, "sample_set": "main"})["guide"] is None
    place = inputs(made, "sample", {**keys, "sample_set": "guided"})["guide"]
    assert place == made.layout.path("train.model", **{**keys, "run": "ddpm"})


def test_what_only_training_depends_on_keeps_no_guide_away():
    network = {"name": "edm2", "ch": 8, "norm_groups": 4, "ch_mult": [1, 2], "num_res_blocks": 1}
    made = experiment(
        defaults={"network": network, "process": {"name": "edm"}},
        runs={"ddpm": {"network": {"config": "C"}, "process": {"logvar": "linear"}}},
    )
    assert made.runs["digits-lt", "cbdm"].samples["guided"].guide_run == "ddpm"


def test_runs_may_guide_each_other():
    made = experiment(grid={"run": ["cbdm", "ddpm"], "sample_set": ["main"]},
                      runs={"cbdm": {"sample": {"guide_run": "ddpm"}},
                            "ddpm": {"sample": {"guide_run": "cbdm"}}})  # fmt: skip
    assert len(made.runs) == 2


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"sample_sets": {"guided": {"guide_run": "ddmp"}}}, "did you mean 'ddpm'"),
        ({"sample_sets": {"guided": {"guide_run": "cbdm"}}}, "the run itself"),
        ({"runs": {"ddpm": {"process": {"T": 500}}}}, "whose process is"),
        ({"runs": {"ddpm": {"train": {"label_dropout": 1}}}}, "whose use of labels is nothing"),
        ({"sample_sets": {"guided": {"guidance": 0}}}, "is heard where guidance is above 0"),
    ],
)
def test_a_guide_that_does_not_suit_is_refused(overlay, message):
    with pytest.raises(OptionError, match=message):
        experiment(**overlay)


def test_a_guide_must_be_there(models, tmp_path):
    with pytest.raises(LtdmError, match="is missing"):
        sample.run(
            asked({"num_images": 12, "guidance": 1.0, "guide_run": "gone"}),
            model=models / "strong.safetensors",
            guide=tmp_path / "gone.safetensors",
            shards=None,
            samples=tmp_path / "s.npz",
            record=tmp_path / "s.json",
        )
