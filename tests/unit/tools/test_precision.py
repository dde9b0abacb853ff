"""Sample sets of several precisions: what their records say, and how far their images are apart."""

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
from tests.helpers.stages import ALONE, asked, digits
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
    return digits(tmp_path_factory.mktemp("precision")) / "model.safetensors"


@pytest.mark.parametrize("precision", SETS)
def test_records_say_what_was_used_and_the_images_what_was_asked(model, tmp_path, precision):
    files = {"samples": tmp_path / "samples.npz", "record": tmp_path / "samples.json"}
    sample.run(asked({**SAMPLE, "precision": precision}), model=model, **ALONE, **files)
    record = json.loads(files["record"].read_text())
    assert record.pop("where") == [f"cpu, 1 threads, {precision}, contiguous_format"]
    (about,) = read_npz(files["samples"], "about")
    assert json.loads(str(about)) == record, "which depends on no machine"


def test_shards_of_two_machines_are_one_set(model, tmp_path, monkeypatch):
    monkeypatch.setitem(_generate.BATCH, "cpu", 10)
    parts = [tmp_path / f"{k}.npz" for k in range(5)]
    for k, name in enumerate(("cpu A", "cpu B", "cpu A", "cpu B", "cpu A")):
        monkeypatch.setattr(_generate, "device_name", lambda device, name=name: name)
        sample.shard(asked(SAMPLE, shard=[k, 5]), model=model, guide=None, images=parts[k])
    files = {"samples": tmp_path / "samples.npz", "record": tmp_path / "samples.json"}
    sample.run(asked(SAMPLE), model=model, guide=None, shards=parts, **files)
    record = json.loads((tmp_path / "samples.json").read_text())
    asleep = not len(read_npz(parts[0], "rows")[0])
    assert asleep, "five jobs, four blocks"
    assert record["where"] == [f"cpu {k}, fp32, contiguous_format" for k in "BA"]


def test_distances_are_those_of_grey_levels(tmp_path):
    a, b = np.zeros((2, 1, 2, 2), np.uint8), np.zeros((2, 1, 2, 2), np.uint8)
    a[0, 0, 0, 0], b[1, 0, 1, 1] = 255, 1
    for name, images in (("a", a), ("b", b), ("c", a[:1])):
        write_npz(tmp_path / f"{name}.npz", images=images)
    assert distances(tmp_path / "a.npz", tmp_path / "b.npz") == (32, 255, 0.25)
    assert distances(tmp_path / "a.npz", tmp_path / "a.npz") == (0, 0, 0)
    with pytest.raises(LtdmError, match="compare sets alike"):
        distances(tmp_path / "a.npz", tmp_path / "c.npz")


def test_the_commands_of_the_page_of_benchmarks(tmp_path):
    """`ltdm image-distances` over the configs that docs/benchmarks.md names, with smoke's sizes."""
    short = tmp_path / "short.yaml"
    short.write_text("defaults: {train: {steps: 4, log_every: 2}}\ngrid: {run: [ddpm]}")
    where = (SMOKE, OVERLAY, short, "--results", tmp_path)
    for stage in ("prepare", "train", "sample", "features", "metrics", "tables"):
        printed = ltdm(stage, *where)
    assert all(f"| {name}" in printed for name in SETS), "scores stand by precision"
    printed = ltdm("image-distances", *where).splitlines()
    head, rows = printed[0].split(), [line.split() for line in printed[1:]]
    table = pd.DataFrame(rows, columns=head).set_index("sample_set")
    assert [*table.index] == ["tf32", "bf16"]
    assert set(table["from"]) == {"fp32"}
    mean = table["mean"].astype(float)
    assert 0 < mean["tf32"] < mean["bf16"] < 5
    assert (table["differ"].astype(float) < 1).all()
    printed = ltdm("image-distances", *where, "--sample-set", "tf32", code=1)
    assert "no sample set beside 'tf32'" in printed


@pytest.mark.parametrize("precision", SETS)
def test_bench_measures_the_precision_asked_for(tmp_path, precision):
    where, file = (SMOKE, OVERLAY, "--run", "ddpm"), tmp_path / "bench.json"
    ltdm("bench", *where, "--sample-set", precision, "--rounds", 1, "--steps", 1, "--json", file)
    found = json.loads(file.read_text())
    assert found["sample_set"] == precision
    assert found["sample"]["ddpm"].get("precision", "fp32") == precision
    assert found["rows"][0]["sample_images_per_s"] > 0


@pytest.mark.parametrize("name", ["demo", "edm2-demo", "cifar10-lt", "cifar100-lt"])
def test_the_overlay_fits_other_configs(name):
    experiment = Experiment(read_config([ROOT / f"config/{name}.yaml", Path(OVERLAY)]))
    assert experiment.grid["sample_set"] == [*SETS]
    for run in experiment.runs.values():
        assert [run.samples[s].precision for s in SETS] == [*SETS]
    plain = Experiment(read_config([ROOT / f"config/{name}.yaml"]))
    sets = [one for run in plain.runs.values() for one in run.samples.values()]
    assert {one.precision for one in sets} == {"fp32"}, "until a GPU has been measured"
