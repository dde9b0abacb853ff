"""`make gpu-check` in its tiny mode: every step runs on a CPU, and its results are complete."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ltdm.cli.main import main
from tests.gpu.check import PRELOAD
from tests.gpu.draws import HostDraws
from tests.gpu.expected import EXPECTED, markdown
from tests.gpu.results import compare
from tests.gpu.steps import ALL_STEPS, CORRECTNESS_STEPS, TIMED_STEPS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
STEPS = ["machine", "compile-ddpm", *(step.name for step in (*CORRECTNESS_STEPS, *TIMED_STEPS))]
ONLY_GPU = {"compile-cbdm", "compile-half", "compile-edm2", "concurrent-training"}


def start(out, *options):
    """Start the check in a process that sees no GPU."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment.pop("LTDM_TIME_LIMIT_SECONDS", None)
    command = [sys.executable, "-m", "tests.gpu.check", str(out), *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The output folder of a complete check, and its printed output."""
    out = tmp_path_factory.mktemp("gpu-check")
    process = start(out, "--tiny")
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed
    return out, printed


def read(file):
    return file.read_text() if file.exists() else ""


def results(out):
    return json.loads((out / "results.json").read_text())


def test_every_step_runs_without_an_error(checked):
    out, printed = checked
    check = results(out)["check"]
    assert {step["step"]: step["end"] for step in check["steps"]} == dict.fromkeys(STEPS, "ok")
    assert set(STEPS) | ONLY_GPU == ALL_STEPS.keys()
    assert not [row for row in check["found"] if row.get("bad") or "error" in row]
    assert {row["step"] for row in check["found"]} == set(STEPS)
    for name in STEPS:
        log = (out / "logs" / f"{name}.txt").read_text()
        assert "Traceback" not in log and "rror:" not in log and "Warning" not in log, log
    assert printed.count(": ok,") == len(STEPS)


def test_results_hold_the_machine_and_the_measurements(checked):
    out, _ = checked
    check = results(out)["check"]
    assert check["tiny"]
    assert {"card", "torch", "cudnn", "commit", "date", "cores"} <= check["machine"].keys()
    measurements = {(row["step"], row["what"]): row for row in check["found"]}
    assert measurements["methods", "ddpm, eager"]["operations"] > 250
    assert measurements["methods", "igd-separate, eager"]["img_per_s"] > 0
    assert measurements["compiled", "ddpm, bf16-master, compiled, one graph"]["needs"] == "a GPU"
    assert measurements["parity", "cbdm, unet, bf16"]["off"] > 0
    assert measurements["graphs", "masks of dropout"]["two_seeds"] > 1e-4
    assert 0 < measurements["training", "digits-lt"]["resumed_at"] < 120
    assert (
        measurements["sampling", "bf16, 8 at once"]["off"]
        > measurements["sampling", "tf32, 8 at once"]["off"]
    )
    names = {file.name for file in out.iterdir()}
    assert {"history-digits-lt.csv", "samples-digits-lt.png", "summary.txt"} <= names


def test_the_summary_compares_expectations_with_measurements(checked):
    out, printed = checked
    summary = (out / "summary.txt").read_text()
    assert summary.strip() in printed
    for expectation in EXPECTED:
        (line,) = [
            part
            for part in summary.splitlines()
            if f" {expectation.step}: {expectation.row} " in part
            and f" {expectation.range_text} {expectation.unit} " in part
        ]
        assert "third" not in line, "tiny measurements are not compared"
    assert "Failures\n  none\n" in summary
    assert "own-tests (" in summary.partition("only with a GPU:")[2].splitlines()[0]


def test_ltdm_plan_reads_the_results(checked):
    out, _ = checked
    config, file = ROOT / "config/smoke.yaml", out / "results.json"
    printed = CliRunner().invoke(main, ["plan", str(config), "--bench", str(file)])
    assert printed.exit_code == 0, printed.output
    assert "GPU-hours" in printed.output
    rows = [row["run"] for row in results(out)["rows"]]
    assert rows == [
        "ddpm",
        "cbdm",
        "oclt",
        "agc",
        "ccua",
        "cm",
        "igd-shared",
        "igd-separate",
        "edm2-e",
    ]


def test_results_are_written_without_time_and_after_sigterm(tmp_path):
    process = start(tmp_path, "--tiny", "--seconds", "0")
    process.communicate(timeout=60)
    assert process.returncode == 1
    ends = {step["step"]: step["end"] for step in results(tmp_path)["check"]["steps"]}
    assert ends["parity"] == "no time" and ends["rest"] == "cut off"
    process = start(tmp_path, "--tiny")
    while process.poll() is None and '"card"' not in read(tmp_path / "rows.jsonl"):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "check: failed (SIGTERM)" in printed
    assert results(tmp_path)["check"]["machine"]["card"]


def test_without_a_gpu_it_fails_once(tmp_path):
    process = start(tmp_path)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    failures = printed.partition("Failures\n")[2].partition("\n\n")[0].splitlines()
    assert "there is no GPU here; --tiny tries the check on a CPU" in failures[0]
    assert [step["step"] for step in results(tmp_path)["check"]["steps"]] == ["machine"]


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    process = start(tmp_path / "file")
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"cannot write {tmp_path / 'file'}" in printed


def test_a_step_that_takes_too_long_is_killed_and_the_next_runs(tmp_path):
    code = """
import sys
from pathlib import Path
from tests.gpu.check import Check
from tests.gpu.steps import ALL_STEPS
check = Check(Path(sys.argv[1]), tiny=True, seconds=100)
for step in ALL_STEPS["machine"], ALL_STEPS["methods"]._replace(seconds=1), ALL_STEPS["ceilings"]:
    check.finish(check.start(step))
"""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, env=environment, check=True)
    check = results(tmp_path)["check"]
    assert [step["end"] for step in check["steps"]] == ["ok", "too long", "ok"]
    assert {row["step"] for row in check["found"]} >= {"machine", "ceilings"}
    assert "methods: too long" in (tmp_path / "summary.txt").read_text()


def test_imports_of_the_steps_do_not_initialise_cuda():
    """CUDA cannot be used in a process whose parent has used it."""
    code = f"""
import importlib, os, sys, torch
for module in {[*PRELOAD, *sorted({step.module for step in ALL_STEPS.values()})]}:
    importlib.import_module(module)
child = os.fork()
if not child:
    os._exit(torch.cuda._is_in_bad_fork())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", ALL_STEPS)
def test_steps_name_functions(name):
    module, _, function = ALL_STEPS[name].call.partition(".")
    assert callable(getattr(importlib.import_module(f"tests.gpu.{module}"), function))


def test_draws_on_the_host_equal_the_generator_s_own():
    def draw():
        rng = torch.Generator().manual_seed(3)
        normal = torch.randn(4, generator=rng, device="cpu")
        uniform = torch.rand(2, 3, generator=rng)
        return [normal, uniform, torch.empty(5).exponential_(generator=rng)]

    plain = draw()
    with HostDraws():
        on_host = draw()
    assert all(torch.equal(a, b) for a, b in zip(on_host, plain, strict=True))


def test_a_difference_of_more_than_a_third_is_marked():
    expectation = EXPECTED[0]
    assert (expectation.low, expectation.high) == (1600, 2500)
    values = (1000, 1100, 2000, 3300, 3400)
    assert [expectation.deviation(v) for v in values] == ["below", "", "", "", "above"]
    row = {"step": expectation.step, "what": expectation.row, expectation.figure: 1000.0}
    lines = compare([row], tiny=False)
    assert lines[1].split()[-7:] == ["1,000", "<--", "more", "than", "a", "third", "below"]
    assert "not measured" in lines[2]


def test_the_page_has_the_same_expectations():
    """Its last column may hold measurements."""
    page = (ROOT / "docs/benchmarks.md").read_text()
    for line in markdown().splitlines():
        assert line.removesuffix("not measured |") in page
