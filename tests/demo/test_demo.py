"""What the README says of the demo, held against the demo's results.

Not part of `make test`: run it after `make demo` with `pytest tests/demo`.
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
    """The values of all seeds."""
    rows = ROWS.query("run == @run and metric == @metric and group == @group")
    return rows[rows["extractor"] == extractor].sort_values("seed")["value"].to_numpy()


@pytest.mark.parametrize("metric", ["frechet", "kid"])
def test_plain_diffusion_draws_the_tail_worse_than_the_head(metric):
    """In every seed, by the biased and by the unbiased distance."""
    assert (value("ddpm", metric, "tail") > 2 * value("ddpm", metric, "head")).all()


def test_balanced_batches_mend_the_tail_and_cost_its_variety():
    for metric, sign in (("frechet", -1), ("recall", -1)):
        change = value("ddpm-balanced", metric, "tail") - value("ddpm", metric, "tail")
        assert (sign * change > 0).all()


def test_small_networks_for_each_class_learn_less_from_as_many_images():
    for run in ("igd-independent", "igd-separate"):
        assert (value(run, "kid", "head") > 2 * value("ddpm", "kid", "head")).all()


def test_a_little_mutual_learning_changes_little():
    """At beta 0.1 one shared network stays close to what balanced batches alone give."""
    shared, balanced = (value(r, "kid", "tail").mean() for r in ("igd-shared", "ddpm-balanced"))
    assert abs(shared - balanced) < 0.5 * balanced


def test_the_classifier_knows_digits():
    record = json.loads((RESULTS / "data/digits-lt/extractors/classifier.json").read_text())
    assert record["accuracy"] > 0.95


def test_a_second_demo_has_nothing_to_do():
    started = time.monotonic()
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in done.stdout + done.stderr
    assert time.monotonic() - started < 60, "20 s on an idle machine"
    assert (RESULTS / "tables/main.md").read_text() in done.stdout
