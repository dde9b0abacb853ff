"""The commands of `ltdm`: a complete experiment without Snakemake, checks, and benchmarks."""

import errno
import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ltdm.cli.main import main
from ltdm.plumbing.renamed import COMMANDS
from ltdm.tools import bench_scores

ROOT = Path(__file__).parents[3]
SMOKE = str(ROOT / "config/smoke.yaml")
STAGES = ("prepare", "train", "sample", "features", "metrics", "tables")


@pytest.fixture(autouse=True)
def _cpu(monkeypatch):
    monkeypatch.setenv("LTDM_DEVICE", "cpu")


def ltdm(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_every_stage_in_order(tmp_path):
    short = tmp_path / "short.yaml"
    short.write_text("defaults: {train: {steps: 4, log_every: 2}}")
    arguments = (SMOKE, short, "--results", tmp_path)
    for stage in STAGES:
        printed = ltdm(stage, *arguments)
    assert "| frechet ↓ | frechet (tail) ↓ |" in " ".join(printed.split())
    assert "all as its manifest says" in ltdm("verify", tmp_path / "smoke")
    terminal = CliRunner(charset="latin-1").invoke(main, ["tables", *map(str, arguments)])
    assert terminal.exit_code == 0 and "frechet ? |" in terminal.output, "without an arrow"
    folder = tmp_path / "smoke/runs/digits-lt/cbdm/seed-0"
    assert (folder / "main/sample_sheet.png").exists()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert "already there" in ltdm("train", *arguments, "--run", "cbdm")
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    ltdm("train", *arguments, "--run", "cbdm", "--seed", 1, code=1)
    other = tmp_path / "other.yaml"
    other.write_text("runs: {cbdm: {method: {tau: 0.5}}}")
    printed = ltdm("sample", SMOKE, short, other, "--results", tmp_path, "--run", "cbdm", code=1)
    assert "was trained with other options" in printed
    ddpm = folder.parents[1] / "ddpm/seed-0"
    assert (ddpm / "main/samples.npz").exists()
    other.write_text("defaults: {sample: {guidance: 9.0, sampler: ancestral}}")
    ltdm("metrics", SMOKE, other, "--results", tmp_path)
    rows = pd.read_csv(ddpm / "main/metrics/frechet.csv")
    assert set(rows["guidance"]) == {0.5}, "rows hold the settings of the images, not of the config"
    assert set(rows["sampler"]) == {"ddim(steps=3)"}
    (tmp_path / "smoke/data/digits-lt/train.npz").unlink()
    (folder / "run.json").unlink()
    assert "train.npz is missing" in ltdm("train", *arguments, "--run", "cbdm", code=1)


def test_check_prints_what_a_config_requests():
    printed = ltdm("check", SMOKE)
    assert "digits-lt: 728 training images in 10 classes, 178 to 17 per class" in printed
    assert "2 networks to train, 2 sample sets to generate" in printed
    assert "warning" not in printed


class Full(io.StringIO):
    """A standard output that is a file on a full disk."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_output_to_a_full_disk_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as stopped:
        main(["check", SMOKE])
    printed = capsys.readouterr().err
    assert stopped.value.code == 1 and printed.count("\n") == 1
    assert printed.startswith("ltdm: cannot write the output: no space is left on the disk")


@pytest.mark.parametrize("text", ["{}", '{"files": {}}', '{"files": {"a": 1}}', "[]"])
def test_a_manifest_without_files_is_an_error(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    printed = ltdm("verify", tmp_path, code=1)
    assert "manifest.json" in printed and printed.count("\n") == 1


def test_check_warns_of_an_uneven_reference(tmp_path):
    for name, n in (("a", 4), ("b", 2)):
        (tmp_path / name).mkdir()
        for i in range(n):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "mine.yaml").write_text(
        f"datasets: {{digits-lt: {{source: folder, root: {tmp_path}, resolution: 8,"
        " profile: full}}\n"
        "defaults: {train: {batch_size: 2}}\n"
        "evaluate: {metrics: [frechet], table_columns: [frechet]}"
    )
    printed = ltdm("check", SMOKE, tmp_path / "mine.yaml")
    assert "the reference is uneven, 4 to 2 images per class" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runs: {cbdm: {method: {name: cbdm, tua: 1}}}", "runs.cbdm.method.tua: unknown key"),
        ("defaults: {train: {lr: '2e-4'}}", "without quotes"),
        (
            "defaults: {train: {warmup_steps: 010}}",
            "line 1: 010 is a number that YAML 1.1 reads as octal",
        ),
        ("- a list", "must be a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_config_errors_are_one_sentence_and_status_1(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    printed = ltdm("check", SMOKE, tmp_path / "mine.yaml", code=1)
    assert printed.startswith("ltdm: ")
    assert message in printed
    assert printed.count("\n") == 1


def test_prepare_counts_the_images_that_could_be_decoded(tmp_path):
    for i in range(12):
        file = tmp_path / f"pictures/{i % 3}/{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i).save(file)
    file.write_bytes(b"no picture")
    config = tmp_path / "own.yaml"
    config.write_text(
        "grid: {dataset: [own]}\n"
        "defaults: {train: {batch_size: 2}}\n"
        "evaluate: {metrics: [frechet], table_columns: [frechet]}\n"
        f"datasets: {{own: {{source: folder, root: {tmp_path}/pictures, resolution: 8,"
        " imbalance: 1, on_bad_file: skip}}"
    )
    printed = ltdm("prepare", SMOKE, config, "--results", tmp_path / "results")
    assert printed.endswith("own: 9 training images\n")


def test_missing_runs_files_and_devices_are_errors(tmp_path, monkeypatch):
    assert "did you mean 'cbdm'?" in ltdm("train", SMOKE, "--run", "cbmd", code=1)
    assert "is missing; run the stage" in ltdm(
        "sample", SMOKE, "--results", tmp_path, "--run", "ddpm", code=1
    )
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    ltdm("prepare", SMOKE, "--results", tmp_path)
    printed = ltdm("train", SMOKE, "--results", tmp_path, "--device", "cuda", code=1)
    assert "device cuda is requested, but this machine shows 0 GPUs" in printed


def test_bench_runs_counts_evaluations_and_compares_runs(tmp_path):
    file = tmp_path / "bench.json"
    printed = ltdm("bench", "runs", SMOKE, "--rounds", 1, "--steps", 2, "--json", file)
    result = json.loads(file.read_text())
    ddpm, cbdm = result["rows"]
    assert (ddpm["run"], ddpm["forward"], ddpm["train_ratio"]) == ("ddpm", 1, 1)
    assert 1.7 < cbdm["forward"] == cbdm["backward"] <= 2
    assert ddpm["sample_evaluations"] == 2 * 3, "three steps, guided"
    assert result["process_peak_mb"] > 100
    assert result["device"] == "cpu"
    assert ddpm["encoder"] == 0
    assert ddpm["probe_images_per_s"] > 0 < ddpm["probe_gain"]
    assert "evals/image" in printed


def test_bench_scores_compares_with_scipy_and_pytorch_fid(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_scores, "METRICS", {"kid": bench_scores.kid})
    file = tmp_path / "scores.json"
    sizes = ("--num-images", 1000, "--feature-dim", 24, "--num-classes", 2)
    printed = ltdm("bench", "scores", *sizes, "--inception-images", 8, "--json", file)
    result = json.loads(file.read_text())
    assert result["distance_difference"] < 1e-6, "SciPy's square root gives the same distance"
    assert 0.5 < result["inception_inside"] <= 1
    assert result["pytorch_fid_images_per_s"] > 0
    assert "2 class-wise distances, 500 x 24" in printed
    assert "kid, 1000 x 1000 x 24 in 10 classes" in printed
    assert "memorization, 131 x 1000 x 3072 pixels: " in printed


@pytest.mark.parametrize("old, new", COMMANDS.items())
def test_an_old_command_is_refused_by_its_new_name(old, new):
    assert f"called `ltdm {new}` now" in ltdm(old, "x.yaml", code=2)
    assert "Usage" in ltdm(*new.split(), "--help")


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (["import", "a.pt", "b.safetensors", "--side", "32"], "--resolution"),
        (["score", "a.npz", "--reference", "b.npz", "--work=x"], "--cache-dir"),
        (["score", "a.npz", "--reference", "b.npz", "--features", "pixels"], "--extractor"),
        (["bench", "scores", "--images", "9"], "--num-images"),
        (["bench", "theory", SMOKE, "--updates", "9"], "--steps"),
    ],
)
def test_an_old_option_is_refused_by_its_new_name(words, new):
    printed = ltdm(*words, code=2)
    assert f"is called `{new}` now" in printed
    assert new in ltdm(*words[: 1 + (words[0] == "bench")], "--help")
