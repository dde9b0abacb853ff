"""The configs shipped with ltdm: valid, documented in their header, with the papers' settings."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.data import afhq_dog, tiny_imagenet
from ltdm.data._base import SourceInfo
from ltdm.pipeline.cost import network_cost
from ltdm.pipeline.warnings import warnings
from ltdm.training.ensemble import total_steps

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.name)
def test_shipped_configs_are_valid(file, monkeypatch):
    names = [f"n{c:08d}" for c in range(200)]
    monkeypatch.setattr(tiny_imagenet, "_class_names", lambda root: names)
    monkeypatch.setattr(afhq_dog, "describe", lambda options: SourceInfo(["dog"], [4739], 3, 64))
    experiment = Experiment(read_config([file]))
    assert experiment.name == file.stem, "each has its own results folder"
    assert set(experiment.grid["run"]) <= set(experiment.overrides)
    false_alarms = warnings(experiment, on_this_machine=False)
    if file.name == "iet-agc.yaml":  # 30,000 steps over ten shards: the protocol's own, and true
        first = false_alarms.pop(0)
        assert first.startswith("iet on afhq-dog, iet-agc on afhq-dog: after 3,000 steps")
    assert false_alarms == []


@pytest.mark.parametrize("file", [f for f in SHIPPED if "cifar" in f.read_text()])
def test_a_paper_s_config_has_a_header(file):
    head = file.read_text().partition("inherits:")[0]
    for term in ("Protocol: ", "Traps", "report"):
        assert term in head or "under the protocol of" in head


@pytest.mark.parametrize("file", [f for f in SHIPPED if "cifar" in f.read_text()])
def test_a_header_states_the_cost_of_sampling(file, monkeypatch):
    """The floating-point operations of one sample set of the first run, as `ltdm plan` counts."""
    monkeypatch.setattr(
        tiny_imagenet, "_class_names", lambda root: [f"n{c:08d}" for c in range(200)]
    )
    monkeypatch.setattr(afhq_dog, "describe", lambda options: SourceInfo(["dog"], [4739], 3, 64))
    head = file.read_text().partition("inherits:")[0]
    stated = re.search(r"Sampled in (\w+)\. .* ([\d,]+) PFLOP", head)
    experiment = Experiment(read_config([file]))
    (key, run), (first, *_) = next(iter(experiment.runs.items())), experiment.grid["sample_set"]
    planned = network_cost(
        experiment.datasets[key[0]], replace(run, samples={"": run.samples[first]}), []
    )
    assert stated[1] == run.samples[first].precision
    operations = planned.flops * planned.sample_evaluations
    assert float(stated[2].replace(",", "")) == pytest.approx(operations / 1e15, rel=0.02)


def test_the_protocol_of_iet_agc(monkeypatch):
    monkeypatch.setattr(afhq_dog, "describe", lambda options: SourceInfo(["dog"], [4739], 3, 64))
    experiment = Experiment(read_config([ROOT / "config/iet-agc.yaml"]))
    for (dataset, name), run in experiment.runs.items():
        data, steps = experiment.datasets[dataset], 30_000 if dataset == "afhq-dog" else 390_000
        assert total_steps(run.train, data.class_counts, False) == steps
        assert bool(run.train.ensemble) == name.startswith("iet")
        assert run.samples["last"].num_images == 65_536
        assert (run.samples["last"].weights, run.samples["ema"].weights) == ("last", "ema")
        assert run.label_role(data) == "nothing"


def test_the_protocols_of_cbdm_and_its_successors():
    cbdm = Experiment(read_config([ROOT / "config/cbdm.yaml"]))
    plain, balanced, ada = (cbdm.runs["cifar100-lt", r] for r in ("ddpm", "cbdm", "cbdm-ada"))
    assert [r.train.steps for r in (plain, balanced, ada)] == [200_000, 300_000, 500_000]
    assert [r.train.batch_size for r in (plain, balanced, ada)] == [64, 48, 48]
    assert [r.samples["main"].guidance for r in (plain, balanced, ada)] == [0.8, 1.6, 1.4]
    assert [r.train.augment for r in (plain, balanced, ada)] == ["flip", "flip", "ada"]
    for run in (plain, balanced, ada):
        assert (run.train.lr, run.train.warmup_steps, run.train.ema_decay) == (2e-4, 5000, 0.9999)
        assert run.samples["main"].num_images == 50_000
        assert str(run.samples["main"].sampler) == "ancestral"
        assert run.network.to_config() == {"name": "unet"}
    later = Experiment({**read_config([ROOT / "config/ddim50.yaml"]), "dataset": ["cifar10-lt"]})
    for run in later.runs.values():
        assert str(run.samples["main"].sampler) == "ddim"
        assert run.samples["main"].sampler.options.steps == 50
        assert run.samples["main"].guidance == 1.5
    ours = Experiment(read_config([ROOT / "config/cifar10-lt.yaml"]))
    assert ours.datasets["cifar10-lt"].class_counts[-1] == 50
    assert ours.datasets["cifar10-lt-0.001"].class_counts[-1] == 5
    assert Experiment(read_config([ROOT / "config/cifar100-lt.yaml"])).grid["dataset"] == [
        "cifar100-lt"
    ]
