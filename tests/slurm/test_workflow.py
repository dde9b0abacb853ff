"""The smoke experiment by `snakemake --profile slurm`, from the data to the tables."""

import re

import pandas as pd
import pytest

pytestmark = pytest.mark.slurm
FEWER = """
evaluate:
  extractors: [{name: classifier, width: 8, feature_dim: 16, steps: 40}]
  metrics: [frechet, memorization]
  table_columns: [frechet, frechet@tail]
"""


def test_the_smoke_experiment_runs_to_its_tables(project):
    earlier = {job["id"] for job in project.cluster.jobs(done=True)}  # other tests' jobs
    (project.folder / "fewer.yaml").write_text(FEWER)
    configs = ("--configfile", "config/smoke.yaml", "fewer.yaml")
    process = project.start("--set-scatter", "samples=2", *configs)
    results = project.folder / "results/smoke"
    project.cluster.wait("a training", lambda: list(results.glob("runs/*/*/*/state/*/*")), 200)
    config = project.folder / "config/smoke.yaml"
    before = config.read_text()
    config.write_text(
        before.replace("guidance: 0.5", "guidance: 0.7")
    )  # before all jobs have started
    status = project.ltdm("status", "results/smoke")
    assert re.search(r"ddpm +0 +(training|waiting|trained)", status)
    printed = project.end(process)
    assert "Trying to restart" not in printed
    rows = pd.read_csv(results / "tables/metrics.csv")
    assert set(rows["run"]) == {"ddpm", "cbdm"}
    assert set(rows["guidance"]) == {0.5}, "edits during a run apply to the next run"
    config.write_text(before)
    assert "frechet (tail) ↓" in (results / "tables/main.md").read_text()
    assert project.ltdm("status", "results/smoke").count(" scored") == 3, "two rows and the sum"
    assert "all as its manifest says" in project.ltdm("verify", "results/smoke")

    jobs = [job for job in project.cluster.jobs(done=True) if job["id"] not in earlier]
    rules = [re.sub(r"rule_(\w+?)_wildcards.*", r"\1", job["rule"]) for job in jobs]
    assert rules.count("train") == 2
    assert rules.count("sample_shard") == 4
    assert not {"tables", "figures", "sample_sheet", "copies_figure"} & {*rules}, (
        "small jobs run on snakemake's machine"
    )
    partitions = dict(zip(rules, (job["partition"] for job in jobs), strict=True))
    assert partitions["train"] == partitions["sample_shard"] == "gpu"
    assert partitions["metrics"] == partitions["sample"] == partitions["prepare"] == "cpu"
    again = project.end(project.start(*configs, "--dry-run"))
    assert "Nothing to be done" in again
