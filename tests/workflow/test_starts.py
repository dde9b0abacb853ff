"""A submitted job starts Snakemake twice, so these starts must be cheap."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from ltdm.config.experiment import Experiment
from ltdm.pipeline import saved_plan, snapshot

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config/smoke.yaml"
OPTIONS = ("--configfile", str(CONFIG), "--snakefile", str(ROOT / "Snakefile"), "--dry-run")
SPAWNED = ("--mode", "remote", "--cores", "1", "--nolock", "--force", "--allowed-rules", "metrics")
JOB = "metrics:dataset=digits-lt,run=ddpm,seed=0,sample_set=main,metric=frechet"


def test_a_jobs_snakemake_reads_the_plan_and_not_the_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(snapshot.ENV_VAR, "")  # `save` sets it; this restores it after the test
    config = yaml.safe_load(CONFIG.read_text())
    saved_plan.save(Experiment(config), plan := tmp_path / "plan.json")
    snapshot.save(tmp_path / "logs", {"config": config, "plan": str(plan), "site": {}})
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", *OPTIONS, *SPAWNED]
    process = subprocess.run([*command, "--target-jobs", JOB], capture_output=True, text=True)
    assert "frechet.csv" in process.stdout + process.stderr, process.stderr[-2000:]
    modules = {*re.findall(r"^import time:.*\| +(\S+)$", process.stderr, re.MULTILINE)}
    assert "ltdm.pipeline.saved_plan" in modules
    assert not {"torch", "ltdm.config.experiment"} & modules
