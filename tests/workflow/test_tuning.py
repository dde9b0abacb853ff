"""Guidance is swept, chosen on one half of the reference, and reported on the other."""

import pandas as pd
import pytest
from click.testing import CliRunner

from ltdm.cli.main import main
from ltdm.cli.stages import run_jobs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.merge import read_config
from ltdm.pipeline.cost import job_counts
from ltdm.pipeline.status import network_statuses
from ltdm.reporting.rows import read_rows
from tests.workflow.conftest import Checkout, project

CONFIG = """
inherits: smoke.yaml
experiment: guidance
grid: {run: [ddpm, unguided]}
defaults: {train: {steps: 5}, sample: {num_images: 20}}
runs: {unguided: {train: {label_dropout: 0}, sample: {guidance: 0}, omit_sample_sets: [strong]}}
sample_sets: {paper: {}, strong: {guidance: 2.0}}
evaluate:
  extractors: [pixels]
  metrics: [frechet]
  groups: [all]
  table_columns: [frechet]
  tuning_half: true
"""
CHOICE = ("tuning.csv", "tuned.csv", "tuned.md", "tuned.tex")
FIGURE = "figures/digits-lt-guidance.png"
SET = "runs/digits-lt/ddpm/seed-0/strong/tuning.csv"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Checkout:
    """Results of the commands, of which Snakemake made those of the choice again."""
    checkout = project(tmp_path_factory.mktemp("guidance"))
    checkout.config = checkout.folder / "config/guidance.yaml"
    checkout.config.write_text(CONFIG)
    checkout.configs = ["config/guidance.yaml"]
    checkout.results = checkout.folder / "results/guidance"
    experiment = Experiment(read_config([checkout.config]), checkout.folder / "results")
    planned = checkout.planned()
    assert planned == {**job_counts(experiment), "all": 1}
    assert (planned["sample"], planned["tuning_metrics"], planned["tuned_tables"]) == (3, 3, 1)
    run_jobs(experiment, *RULES)
    command = ["tables", str(checkout.config), "--results", str(checkout.folder / "results")]
    checkout.printed = CliRunner().invoke(main, command).output
    tables = checkout.results / "tables"
    texts = [(tables / name).read_text() for name in CHOICE]
    figure = (checkout.results / FIGURE).read_bytes()
    for name in (*(f"tables/{name}" for name in CHOICE), FIGURE, SET):
        (checkout.results / name).unlink()
    checkout.snakemake("--cores", "2")
    assert [(tables / name).read_text() for name in CHOICE] == texts
    assert (checkout.results / FIGURE).read_bytes() == figure
    return checkout


def test_the_choice_is_the_tuning_half_s_and_the_scores_the_other_s(tuned):
    tables = tuned.results / "tables"
    rows, scores = read_rows(tables / "metrics.csv"), read_rows(tables / "tuning.csv")
    assert {*rows["note"].str.rpartition(", ")[2]} == {"reporting half"}
    assert {*scores["note"].str.rpartition(", ")[2]} == {"tuning half"}
    assert {*(rows["n_real"].unique() + scores["n_real"].unique())} == {1797}
    assert scores["n_real"].unique().tolist() == [896], "of an odd number it has fewer"
    best = scores.loc[scores.query("metric == 'frechet'").groupby("run")["value"].idxmin()]
    assert {*best["sample_set"][best["run"] == "unguided"]} == {"paper"}
    table = pd.read_csv(tables / "tuned.csv")
    assert table["sample_set"].tolist() == best["sample_set"].tolist()
    reported = rows.query("metric == 'frechet'").set_index(["run", "sample_set"])["value"]
    expected = [reported[key] for key in zip(best["run"], best["sample_set"], strict=True)]
    assert table["frechet ↓"].tolist() == pytest.approx(expected, rel=1e-5)
    assert table["frechet of the tuning half"].tolist() == pytest.approx([*best["value"]], rel=1e-5)
    for name in ("main", "vs_baseline", "tuned"):
        text = (tables / f"{name}.md").read_text()
        assert "Against the reporting half of the reference." in text
    assert tuned.printed.rstrip().endswith((tables / "tuned.md").read_text().rstrip())


def test_runs_with_other_sample_sets_are_finished_and_scored(tuned):
    assert [one.state for one in network_statuses(tuned.results)] == ["scored", "scored"]
    assert tuned.planned() == {}


def test_scores_of_a_half_are_not_taken_for_those_of_the_whole_reference(tuned):
    text = tuned.config.read_text()
    try:
        tuned.config.write_text(text.replace("tuning_half: true", "tuning_half: false"))
        printed = tuned.snakemake("--dry-run", ok=False)
    finally:
        tuned.config.write_text(text)
    assert 'paper/metrics/frechet.json (groups.half was "reporting", now unset)' in printed
