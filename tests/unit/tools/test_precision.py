"""Sample sets of several precisions: their records, and the distances between their images."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.samplers import _generate
from ltdm.stages import sample
from ltdm.tools.image_distances import distances
from tests.helpers.stages import PLAIN_SAMPLING, make_request, train_on_digits
from tests.unit.cli.test_cli import ROOT, SMOKE, ltdm

OVERLAY = str(ROOT / "config/shared/precision.yaml")
SETS = ("fp32", "tf32", "bf16")
SAMPLE = {"sampler": {"name": "ddim", "steps": 3}, "num_images": 40, "guidance": 1.0}


@pytest.fixture(autouse=True)
def _cpu(monkeypatch):
    monkeypatch.setenv("LTDM_DEVICE", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return train_on_digits(tmp_path_factory.mktemp("precision")) / "model.safetensors"


@pytest.mark.parametrize("precision", SETS)
def test_records_hold_the_device_and_images_hold_the_request(model, tmp_path, precision):
    files = {"samples": tmp_path / "samples.npz", "record": tmp_path / "samples.json"}
    sample.run(
        make_request({**SAMPLE, "precision": precision}), model=model, **PLAIN_SAMPLING, **files
    )
    record = json.loads(files["record"].read_text())
    assert record.pop("where") == [f"cpu, 1 threads, {precision}, contiguous_format"]
    (metadata,) = read_npz(files["samples"], "about")
    assert json.loads(str(metadata)) == record, "the same on every machine"


def test_shards_of_two_machines_are_merged(model, tmp_path, monkeypatch):
    monkeypatch.setitem(_generate.MAX_BATCH, "cpu", 10)
    parts = [tmp_path / f"{k}.npz" for k in range(5)]
    for k, name in enumerate(("cpu A", "cpu B", "cpu A", "cpu B", "cpu A")):
        monkeypatch.setattr(_generate, "device_name", lambda device, name=name: name)
        sample.run_shard(
            make_request(SAMPLE, shard=[k, 5]), model=model, guide=None, images=parts[k]
        )
    files = {"samples": tmp_path / "samples.npz", "record": tmp_path / "samples.json"}
    sample.run(make_request(SAMPLE), model=model, guide=None, shards=parts, **files)
    record = json.loads((tmp_path / "samples.json").read_text())
    is_empty = not len(read_npz(parts[0], "rows")[0])
    assert is_empty, "five jobs, four blocks"
    assert record["where"] == [f"cpu {k}, fp32, contiguous_format" for k in "BA"]


def test_distances_are_in_grey_levels(tmp_path):
    a, b = np.zeros((2, 1, 2, 2), np.uint8), np.zeros((2, 1, 2, 2), np.uint8)
    a[0, 0, 0, 0], b[1, 0, 1, 1] = 255, 1
    for name, images in (("a", a), ("b", b), ("c", a[:1])):
        write_npz(tmp_path / f"{name}.npz", images=images)
    assert distances(tmp_path / "a.npz", tmp_path / "b.npz") == (32, 255, 0.25)
    assert distances(tmp_path / "a.npz", tmp_path / "a.npz") == (0, 0, 0)
    with pytest.raises(LtdmError, match="same shape"):
        distances(tmp_path / "a.npz", tmp_path / "c.npz")


def test_the_commands_of_the_benchmarks_page(tmp_path):
    """`ltdm image-distances` on the configs of docs/benchmarks.md, with the sizes of smoke."""
    short = tmp_path / "short.yaml"
    short.write_text("defaults: {train: {steps: 4, log_every: 2}}\ngrid: {run: [ddpm]}")
    arguments = (SMOKE, OVERLAY, short, "--results", tmp_path)
    for stage in ("prepare", "train", "sample", "features", "metrics", "tables"):
        printed = ltdm(stage, *arguments)
    assert all(f"| {name}" in printed for name in SETS), "scores by precision"
    printed = ltdm("image-distances", *arguments).splitlines()
    head, rows = printed[0].split(), [line.split() for line in printed[1:]]
    table = pd.DataFrame(rows, columns=head).set_index("sample_set")
    assert [*table.index] == ["tf32", "bf16"]
    assert set(table["from"]) == {"fp32"}
    mean = table["mean"].astype(float)
    assert 0 < mean["tf32"] < mean["bf16"] < 5
    assert (table["differ"].astype(float) < 1).all()
    printed = ltdm("image-distances", *arguments, "--sample-set", "tf32", code=1)
    assert "no sample set beside 'tf32'" in printed


@pytest.mark.parametrize("precision", SETS)
def test_bench_runs_measures_the_requested_precision(tmp_path, precision):
    file = tmp_path / "bench.json"
    arguments = (SMOKE, OVERLAY, "--run", "ddpm", "--sample-set", precision)
    options = ("--rounds", 1, "--steps", 1, "--json", file, "--results", tmp_path)
    ltdm("bench", "runs", *arguments, *options)
    result = json.loads(file.read_text())
    assert result["sample_set"] == precision
    assert result["sample"]["ddpm"].get("precision", "fp32") == precision
    assert result["rows"][0]["sample_images_per_s"] > 0


@pytest.mark.parametrize("name", ["demo", "edm2-demo", "cifar10-lt", "cifar100-lt"])
def test_the_precision_overlay_works_with_other_configs(name):
    experiment = Experiment(read_config([ROOT / f"config/{name}.yaml", Path(OVERLAY)]))
    assert experiment.grid["sample_set"] == [*SETS]
    for run in experiment.runs.values():
        assert [run.samples[s].precision for s in SETS] == [*SETS]
    plain = Experiment(read_config([ROOT / f"config/{name}.yaml"]))
    for run in plain.runs.values():
        first, *others = (sample.precision for sample in run.samples.values())
        assert first == "fp32", "the default until it has been measured on a GPU"
        assert {*others} <= {"fp32", "tf32"}
