"""The evaluation on small coloured squares: Inception's network and most metrics."""

import numpy as np
import pandas as pd
import pytest

from tests.workflow.conftest import Checkout, project

CONFIG = """
inherits: smoke.yaml
experiment: squares
grid: {dataset: [squares], run: [ddpm, cbdm], seed: [0]}
datasets: {squares: {source: npz, path: squares.npz, imbalance: 0.5}}
defaults: {train: {steps: 10}, sample: {num_images: 18}}
evaluate:
  extractors: [random-inception, {name: classifier, width: 4, feature_dim: 8, steps: 20}]
  metrics:
    - frechet
    - {name: inception-score, splits: 2}
    - {name: prd, clusters: 3, num_clusterings: 2}
    - precision-recall
    - {name: precision-recall, k: 5, label: pr5, extractor: classifier}
    - accuracy
  groups: [all, class, shots, worst]
  shot_bounds: [11, 7]
  table_columns: [frechet, frechet@few-shot, inception-score, pr5.recall, accuracy@worst]
"""
METRICS = 6


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Checkout:
    checkout = project(tmp_path_factory.mktemp("scored"))
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 12)
    pixels = rng.integers(0, 120, (36, 8, 8, 3)) + 50 * labels[:, None, None, None]
    np.savez(checkout.folder / "squares.npz", x_train=pixels.astype(np.uint8), y_train=labels)
    (checkout.folder / "config/squares.yaml").write_text(CONFIG)
    checkout.configs = ["config/squares.yaml"]
    checkout.results = checkout.folder / "results/squares"
    checkout.printed = checkout.snakemake("--cores", "2")
    return checkout


def test_the_workflow_warns_once_when_it_begins(scored):
    (line,) = [line for line in scored.printed.splitlines() if "ltdm: warning: " in line]
    assert "ddpm on squares, cbdm on squares: after 10 steps with train.ema_decay 0.9" in line


def test_tables_have_every_metric(scored):
    rows = pd.read_csv(scored.results / "tables/metrics.csv")
    by_extractor = {
        extractor: set(group["metric"]) for extractor, group in rows.groupby("extractor")
    }
    shared = {
        "frechet",
        "frechet-infinity",
        "prd-f8",
        "prd-f1/8",
        *(names := ("precision", "recall", "density", "coverage")),
    }
    assert by_extractor == {
        "random-inception": shared | {"inception-score", "inception-score-sd"},
        "classifier": shared | {"accuracy"} | {f"pr5.{name}" for name in names},
    }
    assert set(rows["group"]) == {
        "all",
        "class-0",
        "class-1",
        "class-2",
        "many-shot",
        "medium-shot",
        "few-shot",
        "worst",
    }
    overall = rows[(rows["metric"] == "frechet") & (rows["group"] == "all")]
    assert (overall["error"] > 0).all()
    main = (scored.results / "tables/main.md").read_text()
    head = main.splitlines()[0]
    assert "frechet ↓" in head, "Inception's network without its weights gives no FID"
    assert "pr5.recall (k = 5) ↑" in head
    assert "random-inception, pr5.recall (k = 5), accuracy (worst) by classifier." in main
    differences = pd.read_csv(scored.results / "tables/differences.csv")
    assert set(differences["run"]) == {"cbdm"}
    assert set(differences["baseline"]) == {"ddpm"}
    assert set(differences["seeds"]) == {1}
    vs_baseline = (scored.results / "tables/vs_baseline.md").read_text()
    assert (
        "Difference from ddpm and its 95 % interval over generated images of one seed"
        in vs_baseline
    )
    assert (scored.results / "tables/vs_baseline.tex").exists()


def test_other_groups_or_another_baseline_run_no_network(scored):
    config = scored.folder / "config/squares.yaml"
    text = config.read_text()
    try:
        config.write_text(text.replace("shot_bounds: [11, 7]", "shot_bounds: [10, 7]"))
        planned = scored.planned()
        assert planned.pop("metrics") == 2 * METRICS
        assert set(planned) == {"tables", "figures", "manifest", "page", "all"}
        config.write_text(text.replace("  table_columns:", "  baseline: cbdm\n  table_columns:"))
        assert scored.planned() == {"tables": 1, "figures": 1, "manifest": 1, "page": 1, "all": 1}
    finally:
        config.write_text(text)
