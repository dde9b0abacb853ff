"""The results of the workflow, its faults and its messages."""

import json
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from ltdm.metrics.memorization import HIGHER_IS_BETTER
from tests.helpers.heavy_modules import AT_START, LATER
from tests.unit.cli.test_cli import ltdm

COLUMNS = [
    "dataset",
    "run",
    "seed",
    "sample_set",
    "sampler",
    "guidance",
    "weights",
    "extractor",
    "metric",
    "options",
    "group",
    "value",
    "error",
    "baseline",
    "n_real",
    "n_generated",
    "note",
]


def test_jobs_load_no_more_heavy_modules_than_they_may(finished):
    """Those of the script's start, and those that its work needs."""
    rows = [line.split() for line in finished.log.read_text().splitlines()]
    loaded = {rule.removesuffix(".py"): {*names} for rule, *names in rows}
    assert {"train", "sample", "metrics", "tables", "figures", "page"} <= {*loaded}
    scripts = {module.partition(".")[2]: names for module, names in AT_START.items()}
    scripts["page"] = scripts.pop("document")
    surplus = {rule: loaded[rule] - scripts[rule] - LATER.get(rule, set()) for rule in loaded}
    assert not any(surplus.values()), surplus


def test_tables_hold_every_number(finished):
    rows = pd.read_csv(finished.results / "tables/metrics.csv")
    assert list(rows.columns) == COLUMNS
    groups = 1 + 3 + 10 + 1
    # runs; extractors, values of two metrics; values of memorization
    copied = rows[rows["metric"].isin(HIGHER_IS_BETTER)]
    assert len(copied) == 2 * 20 * groups
    assert len(rows) == 2 * 2 * (2 + 4) * groups + len(copied)
    assert set(copied["extractor"]) == {"pixels"}
    assert set(copied[copied["group"] == "all"]["n_real"]) == {1797 - 728}
    assert set(rows["sampler"]) == {"ddim(steps=3)"}
    assert set(rows["guidance"]) == {0.5}
    assert rows[["n_real", "n_generated"]].notna().all().all()
    main = (finished.results / "tables/main.md").read_text()
    assert "frechet (tail) ↓" in main
    columns = [line.split("|")[2:-1] for line in main.splitlines()[2:4]]
    assert all("**" in one + other for one, other in zip(*columns, strict=True))
    latex = (finished.results / "tables/main.tex").read_text()
    assert latex.count(r"\textbf") * 2 == main.count("**")
    assert r"frechet (tail) $\downarrow$" in latex


def test_manifest_lists_every_file_behind_every_number(checkout):
    files = json.loads((checkout.results / "manifest.json").read_text())["files"]
    behind, pending = set(), ["tables/main.md"]
    while pending:
        behind.add(name := pending.pop())
        pending += [parent for parent in files[name]["from"] if parent not in behind]
    arrays = {f.relative_to(checkout.results).as_posix() for f in checkout.results.rglob("*.npz")}
    assert arrays < behind, "every npz is behind the main table"
    assert {f"runs/digits-lt/{r}/seed-0/model.safetensors" for r in ("ddpm", "cbdm")} < behind
    assert "all as its manifest says" in ltdm("verify", checkout.results)
    samples = checkout.results / "runs/digits-lt/cbdm/seed-0/main/samples.npz"
    original = samples.read_bytes()
    samples.write_bytes(original[:-1] + b"x")
    printed = ltdm("verify", checkout.results, code=1)
    assert "runs/digits-lt/cbdm/seed-0/main/samples.npz differs" in printed
    samples.unlink()
    assert "samples.npz is missing" in ltdm("verify", checkout.results, code=1)
    samples.write_bytes(original)
    record = checkout.results / "runs/digits-lt/cbdm/seed-0/run.json"
    record.write_text(record.read_text().replace('"data": "', '"data": "0'))
    manifest = checkout.results / "manifest.json"
    manifest.unlink()
    checkout.snakemake("--cores", "1", "results/smoke/manifest.json")
    assert "was trained on another data/digits-lt/train.npz" in ltdm(
        "verify", checkout.results, code=1
    )


def test_pictures_are_not_blank(finished):
    figures = sorted(p.name for p in (finished.results / "figures").glob("*.png"))
    plots = ("cost", "counts", "intervals", "per-class", "training")
    assert figures == sorted(f"digits-lt-{figure}.png" for figure in (*plots, "samples"))
    for picture in finished.results.rglob("*.png"):
        with Image.open(picture) as image:
            assert len(image.convert("L").getcolors()) > 5, f"{picture} is blank"
    for figure in plots:
        files = finished.results / f"figures/digits-lt-{figure}"
        assert files.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert len(pd.read_csv(files.with_suffix(".csv"))), figure


def test_report_works_offline(checkout):
    """It is written without a network, where the kernel lets a user leave it, and read without."""
    leave = ["unshare", "--map-root-user", "--net"]
    is_possible = shutil.which(leave[0]) and subprocess.run([*leave, "true"]).returncode == 0
    command = [sys.executable, "-m", "snakemake", *checkout.arguments("--report", "report.html")]
    done = subprocess.run(
        [*leave * bool(is_possible), *command],
        cwd=checkout.folder,
        env=checkout.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = (checkout.folder / "report.html").read_text()
    assert "Training images per class of" in text
    assert "The likeliest copies of run" in text
    pages = re.findall(r"data:text/html;charset=utf8;filename=([^;]+);", text)
    assert pages == ["main.html", "vs_baseline.html"], "tables are shown, not downloaded"
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=[\"']?(https?:)?//", text)


def test_killed_training_resumes_to_the_same_bytes(checkout):
    folder = checkout.results / "runs/digits-lt/ddpm/seed-0"
    files = [folder / name for name in ("model.safetensors", "history.csv")]
    original = [file.read_bytes() for file in files]
    samples = (folder / "main/samples.npz").read_bytes()
    checkout.edit("config/smoke.yaml", "steps: 40", "steps: 200")
    model = str(files[0].relative_to(checkout.folder))
    checkout.kill("runs/digits-lt/ddpm/seed-0/state/*/state.pt", "--cores", "1", model)
    printed = checkout.snakemake("--cores", "1", model)
    log = (checkout.results / "logs/train/digits-lt/ddpm/seed-0.log").read_text()
    assert "resuming at step" in log, printed
    resumed = [file.read_bytes() for file in files]
    assert not (folder / "state").exists()
    undisturbed = checkout.copy_to(checkout.folder.parent / "undisturbed")
    for file in files:
        (undisturbed.folder / file.relative_to(checkout.folder)).unlink()
    undisturbed.snakemake("--cores", "1", model)
    log = (undisturbed.results / "logs/train/digits-lt/ddpm/seed-0.log").read_text()
    assert "resuming" not in log
    fresh = [(undisturbed.folder / f.relative_to(checkout.folder)).read_bytes() for f in files]
    assert resumed == fresh
    assert resumed != original, "the longer run is another run"
    assert samples == (folder / "main/samples.npz").read_bytes(), "nothing else was touched"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 1.0e-3", "lr: 010", "010 is a number that YAML 1.1 reads as octal"),
        ("steps: 40, b", "stes: 40, b", "defaults.train.stes: unknown key; did you mean"),
        ("method: cbdm", "method: cbmd", "runs.cbdm.method.name: no method is called 'cbmd'"),
        ("imbalance: 0.1", "imbalance: 0.002", "leaves no image of"),
        ("experiment: ", "inherits: 5\nexperiment: ", "config/smoke.yaml.inherits: must be a list"),
    ],
)
def test_wrong_config_stops_before_the_first_job(checkout, old, new, message):
    checkout.edit("config/smoke.yaml", old, new)
    printed = checkout.snakemake("--cores", "1", ok=False)
    assert message in printed
    assert "WorkflowError" in printed and "Traceback" not in printed, "another is a bug's"


def test_damaged_file_fails_one_job_with_one_sentence(checkout):
    data = checkout.results / "data/digits-lt/train.npz"
    before = (checkout.results / "runs/digits-lt/ddpm/seed-0/model.safetensors").read_bytes()
    when = data.stat()
    data.write_bytes(data.read_bytes()[:1000])
    os.utime(data, ns=(when.st_atime_ns, when.st_mtime_ns))  # as after a disk fault
    checkout.edit("config/smoke.yaml", "method: cbdm", "method: {name: cbdm, tau: 0.5}")
    printed = checkout.snakemake("--cores", "1", "--quiet", "all", ok=False)
    head, last = printed.splitlines()[-2:]
    assert head.startswith("ltdm: 1 job failed; ")
    assert last.startswith(
        "ltdm: train digits-lt/cbdm/0 failed: results/smoke/data/digits-lt/train"
    )
    assert "is damaged" in last
    assert "delete it and run the same command again; log: results/smoke/logs/train/" in last
    assert "Traceback" not in printed
    model = checkout.results / "runs/digits-lt/ddpm/seed-0/model.safetensors"
    assert model.read_bytes() == before, "what was finished is kept"
