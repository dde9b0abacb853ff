"""The configs that come with ltdm: sound, said in words, and the papers' own numbers."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read
from ltdm.data import afhq_dog, tiny_imagenet
from ltdm.data._base import Census
from ltdm.pipeline.cost import network_cost
from ltdm.training.ensemble import all_updates

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.name)
def test_shipped_configs_are_valid(file, monkeypatch):
    names = [f"n{c:08d}" for c in range(200)]
    monkeypatch.setattr(tiny_imagenet, "_classes", lambda root: names)
    monkeypatch.setattr(afhq_dog, "census", lambda options: Census(["dog"], [4739], 3, 64))
    experiment = Experiment(read([file]))
    assert experiment.name == file.stem, "each has results of its own"
    assert set(experiment.grid["run"]) <= set(experiment.overrides)


@pytest.mark.parametrize("file", [f for f in SHIPPED if "cifar" in f.read_text()])
def test_a_paper_s_config_says_what_it_is(file):
    head = file.read_text().partition("inherits:")[0]
    for said in ("Protocol: ", "Traps", "report"):
        assert said in head or "under the protocol of" in head


@pytest.mark.parametrize("file", [f for f in SHIPPED if "cifar" in f.read_text()])
def test_a_config_says_what_sampling_costs(file, monkeypatch):
    """A set of its first run, in operations, as `ltdm plan` counts them."""
    monkeypatch.setattr(tiny_imagenet, "_classes", lambda root: [f"n{c:08d}" for c in range(200)])
    monkeypatch.setattr(afhq_dog, "census", lambda options: Census(["dog"], [4739], 3, 64))
    head = file.read_text().partition("inherits:")[0]
    said = re.search(r"Sampled in (\w+)\. .* ([\d,]+) PFLOP", head)
    experiment = Experiment(read([file]))
    (name, made), (first, *_) = next(iter(experiment.runs.items())), experiment.grid["sample_set"]
    one = network_cost(
        experiment.datasets[name[0]], replace(made, samples={"": made.samples[first]}), []
    )
    assert said[1] == made.samples[first].precision
    operations = one.flops * one.sample_evaluations
    assert float(said[2].replace(",", "")) == pytest.approx(operations / 1e15, rel=0.02)


def test_iet_agc_s_protocol(monkeypatch):
    monkeypatch.setattr(afhq_dog, "census", lambda options: Census(["dog"], [4739], 3, 64))
    experiment = Experiment(read([ROOT / "config/iet-agc.yaml"]))
    for (name, run), made in experiment.runs.items():
        updates = 30_000 if name == "afhq-dog" else 390_000
        assert all_updates(made.train, experiment.datasets[name].class_counts, False) == updates
        assert bool(made.train.ensemble) == run.startswith("iet")
        assert made.samples["last"].num_images == 65_536
        assert (made.samples["last"].weights, made.samples["averaged"].weights) == ("last", "ema")
        assert made.label_use(experiment.datasets[name]) == "nothing"


def test_papers_protocols():
    cbdm = Experiment(read([ROOT / "config/cbdm.yaml"]))
    plain, balanced, ada = (cbdm.runs["cifar100-lt", r] for r in ("ddpm", "cbdm", "cbdm-ada"))
    assert [r.train.steps for r in (plain, balanced, ada)] == [200_000, 300_000, 500_000]
    assert [r.train.batch_size for r in (plain, balanced, ada)] == [64, 48, 48]
    assert [r.samples["main"].guidance for r in (plain, balanced, ada)] == [0.8, 1.6, 1.4]
    assert [r.train.augment for r in (plain, balanced, ada)] == ["flip", "flip", "ada"]
    for run in (plain, balanced, ada):
        assert (run.train.lr, run.train.warmup_steps, run.train.ema_decay) == (2e-4, 5000, 0.9999)
        assert run.samples["main"].num_images == 50_000
        assert str(run.samples["main"].sampler) == "ancestral"
        assert run.network.plain() == {"name": "unet"}
    later = Experiment({**read([ROOT / "config/ddim50.yaml"]), "dataset": ["cifar10-lt"]})
    for run in later.runs.values():
        assert str(run.samples["main"].sampler) == "ddim"
        assert run.samples["main"].sampler.options.steps == 50
        assert run.samples["main"].guidance == 1.5
    ours = Experiment(read([ROOT / "config/cifar10-lt.yaml"]))
    assert ours.datasets["cifar10-lt"].class_counts[-1] == 50
    assert ours.datasets["cifar10-lt-0.001"].class_counts[-1] == 5
    assert Experiment(read([ROOT / "config/cifar100-lt.yaml"])).grid["dataset"] == ["cifar100-lt"]
