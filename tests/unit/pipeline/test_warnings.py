"""Warnings of configs that are valid and will not work: each true, and none that is false."""

import shutil

import pytest
import torch

from ltdm.config.experiment import Experiment
from ltdm.core import memory
from ltdm.pipeline import warnings as pipeline_warnings
from ltdm.pipeline.warnings import disk_warnings, warnings
from ltdm.training.ema import EMA
from tests.helpers.smoke_config import edited
from tests.unit.cli.test_cli import SMOKE, ltdm

BOTH = "ddpm on digits-lt, cbdm on digits-lt: "


@pytest.fixture(autouse=True)
def _cpu(monkeypatch):
    monkeypatch.setenv("LTDM_DEVICE", "cpu")


@pytest.mark.parametrize(
    ("path", "value", "start", "words"),
    [
        (
            "defaults/train/warmup_steps",
            5000,
            BOTH,
            ("5,000 steps", "training has only 40", "0.8%"),
        ),
        ("defaults/train/warmup_images", 16 * 80, BOTH, ("warmup_images", "80 steps", "48.8%")),
        ("defaults/train/ema_decay", 0.9999, BOTH, ("99.6% the first random weights", "0.875")),
        (
            "runs/cbdm/train",
            {"ema_decay": 0.99, "init_from": "ddpm"},
            "cbdm on",
            ("weights of ddpm",),
        ),
        ("defaults/train/lr_decay_images", 640, BOTH, ("never falls", "640 images")),
        (
            "defaults/train/ensemble",
            {"shards": 2, "rounds": 4},
            BOTH,
            ("after 20 steps", "12.2% the first"),
        ),
        (
            "defaults/sample/num_images",
            30,
            BOTH,
            ("precision-recall needs 4 images per class", "3"),
        ),
        (
            "defaults/train/class_sampling",
            {"brs": 1e-4, "released": True},
            BOTH,
            ("never draws the classes 7, 8;",),
        ),
        ("runs/cbdm/method", "cm", "cbdm on", ("compares dropout masks alone", "0.1")),
        ("runs/cbdm/method", {"name": "cm", "weight": 0}, None, ()),
        (
            "runs/cbdm",
            {"method": "cm", "network": {"reserve": 0.1}},
            None,
            (),
        ),
        ("defaults/train/class_sampling", {"brs": 1e-4}, None, ()),
        ("defaults/train/class_sampling", {"brs": 0.1, "released": True}, None, ()),
        ("defaults/sample", {"num_images": 30, "label": "none"}, None, ()),
        ("evaluate/probe", {"layers": [1]}, None, ()),
        ("defaults/train/label_dropout_per", "batch", None, ()),
    ],
)
def test_a_run_that_will_not_work_is_warned_of(path, value, start, words):
    lines = warnings(Experiment(edited(path, value)))
    assert len(lines) == (1 if start else 0), lines
    for line in lines:
        assert line.startswith(start) and "\n" not in line
        assert all(word in line for word in words), line


def test_samples_without_labels_need_no_images_per_class():
    config = edited("sample_sets", {"x": {"label": "none", "guidance": 0, "num_images": 4}})
    assert warnings(Experiment(config)) == []
    config["sample_sets"]["x"]["num_images"] = 3
    lines = warnings(Experiment(config))
    assert len(lines) == 1 and "precision-recall needs 4 images, and" in lines[0]


@pytest.mark.parametrize(
    ("steps", "timestep"),
    [(3, "666 of 1000"), (600, "599"), (9, "888"), (10, None), (50, None), (1000, None)],
)
def test_a_grid_that_does_not_start_at_pure_noise_is_warned_of(steps, timestep):
    sampler = {"name": "ddim", "grid": "leading", "steps": steps}
    lines = warnings(Experiment(edited("defaults/sample/sampler", sampler)))
    assert len(lines) == (1 if timestep else 0)
    assert all(f"pure noise at timestep {timestep}" in line for line in lines)
    trailing = {**sampler, "grid": "trailing"}
    assert warnings(Experiment(edited("defaults/sample/sampler", trailing))) == []


@pytest.mark.parametrize(
    ("interval", "guided"), [([158, 1e3], 0), ([0, 0.01], 0), ([156, 158], 1), ([0, 0.0101], 1)]
)
def test_an_interval_without_a_level_of_the_sampler_is_warned_of(interval, guided):
    config = edited("defaults/sample/guidance_schedule", {"interval": interval})
    lines = warnings(Experiment(config))
    assert len(lines) == 1 - guided
    assert all("main is not guided" in line and "(sigma 157, 3.4" in line for line in lines), lines
    config["defaults"]["sample"].update(guidance=0, guidance_schedule="constant")
    assert warnings(Experiment(config)) == [], "not guided at all"


def test_averages_that_nothing_uses_are_not_warned_of():
    config = edited("defaults/train/ema_decay", 0.9999)
    config["defaults"]["sample"]["weights"] = "last"
    assert warnings(Experiment(config)) == []


def test_the_share_of_the_first_weights_is_that_of_the_average():
    net = torch.nn.Linear(1, 1)
    torch.nn.init.ones_(net.weight)
    ema = EMA(net, 0.9999)
    torch.nn.init.zeros_(net.weight)
    for _ in range(40):
        ema.update()
    assert float(ema.average["weight"]) == pytest.approx(0.996, abs=5e-4)


def test_memory_and_disk_that_are_not_there(monkeypatch, tmp_path):
    experiment = Experiment(edited("experiment", "smoke"), tmp_path)
    needed = experiment.datasets["digits-lt"].preparation_bytes
    assert needed == 64 * (1797 + 728), "bytes of all digits of 8 x 8, and of the long tail"
    assert [*disk_warnings(experiment)] == []
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    (line,) = disk_warnings(experiment)
    assert str(tmp_path / "smoke") in line and "1e-06 GB free" in line
    monkeypatch.setattr(pipeline_warnings, "available_bytes", lambda: needed - 1)
    (line,) = warnings(experiment)
    assert line.startswith("digits-lt: its preparation takes at least 0.000162 GB of memory")
    assert warnings(experiment, on_this_machine=False) == []
    experiment.layout.path("prepare.record", dataset="digits-lt").parent.mkdir(parents=True)
    experiment.layout.path("prepare.record", dataset="digits-lt").write_text("{}")
    assert warnings(experiment) == [], "it is prepared"


def test_the_memory_available_is_the_lower_of_the_machine_s_and_the_container_s(
    monkeypatch, tmp_path
):
    meminfo, limit, used = tmp_path / "meminfo", tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(memory, "MEMINFO", meminfo)
    group = (tmp_path, "max", "current", "inactive_file")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", (group,))
    assert memory.available_bytes() == float("inf"), "the system does not say"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable: 8 kB\n")
    used.write_text("100\n")
    limit.write_text("max\n")
    assert memory.available_bytes() == 8192
    limit.write_text("1100\n")
    assert memory.available_bytes() == 1000
    (tmp_path / "memory.stat").write_text("active_file 7\ninactive_file 60\n")
    assert memory.available_bytes() == 1060, "files that were read are no reason to warn"


def test_gpus_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("LTDM_DEVICE")
    experiment = Experiment(edited("runs/ddpm/train", {"gpus": 4}))
    assert warnings(experiment) == [
        "train.gpus is 4, but this machine shows 2 GPUs, which will be used"
    ]
    monkeypatch.setenv("LTDM_DEVICE", "cuda:2")
    first, _ = warnings(experiment)
    assert "LTDM_DEVICE is cuda:2, but this machine shows 2 GPUs" in first
    assert warnings(experiment, on_this_machine=False) == []


def test_check_prints_warnings_and_succeeds(tmp_path):
    (tmp_path / "long.yaml").write_text("defaults: {train: {warmup_steps: 5000}}")
    lines = ltdm("check", SMOKE, tmp_path / "long.yaml", "--results", tmp_path).splitlines()
    assert [line.startswith("warning: ") for line in lines] == [False, True, False]
    lines = ltdm("check", SMOKE, "--run", "ddpm", "--results", tmp_path).splitlines()
    assert lines[-1] == "smoke: config OK, 1 network to train, 1 sample set to generate."
