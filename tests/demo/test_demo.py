"""Statements of the README about the demo, compared with the demo's results.

Not part of `make test`: run it with `pytest tests/demo` after `make demo`.
"""

import json
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/demo"
ROWS = pd.read_csv(RESULTS / "tables/metrics.csv")


def value(run, metric, group, extractor="classifier"):
    """Return a metric's values for a run and group, one per seed."""
    rows = ROWS.query("run == @run and metric == @metric and group == @group")
    return rows[rows["extractor"] == extractor].sort_values("seed")["value"].to_numpy()


@pytest.mark.parametrize("metric", ["frechet", "kid"])
def test_ddpm_is_worse_in_the_tail_than_in_the_head(metric):
    """This holds in every seed, by the biased and by the unbiased distance."""
    assert (value("ddpm", metric, "tail") > 2 * value("ddpm", metric, "head")).all()


def test_balanced_batches_improve_the_tail_and_cost_diversity():
    for metric, sign in (("frechet", -1), ("recall", -1)):
        change = value("ddpm-balanced", metric, "tail") - value("ddpm", metric, "tail")
        assert (sign * change > 0).all()


def test_networks_per_class_are_worse():
    for run in ("igd-independent", "igd-separate"):
        assert (value(run, "kid", "head") > 2 * value("ddpm", "kid", "head")).all()


def test_weak_mutual_learning_changes_little():
    """At beta 0.1, one shared network stays close to balanced batches alone."""
    shared, balanced = (value(r, "kid", "tail").mean() for r in ("igd-shared", "ddpm-balanced"))
    assert abs(shared - balanced) < 0.5 * balanced


def test_the_classifier_is_accurate():
    record = json.loads((RESULTS / "data/digits-lt/extractors/classifier.json").read_text())
    assert record["accuracy"] > 0.95


def test_a_second_demo_has_nothing_to_do():
    started = time.monotonic()
    process = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in process.stdout + process.stderr
    assert time.monotonic() - started < 60, "it takes 20 s on an idle machine"
    assert (RESULTS / "tables/main.md").read_text() in process.stdout
