"""The workflow on points in place of images."""

import pandas as pd
from PIL import Image

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.pipeline.cost import job_counts
from ltdm.plumbing.files import read_npz
from ltdm.reporting.rows import read_rows
from tests.workflow.conftest import project

CONFIG = """
inherits: smoke.yaml
experiment: points
grid: {dataset: [toy], run: [ddpm, game]}
datasets:
  toy:
    source: mixture
    points_per_class: 200
    classes:
      - wide: [{mean: [-2, 0, 0], weight: 2}, {mean: [2, 0, 0], std: [1, 1, 2]}]
      - round: [{mean: [0, 0, 0], std: 2}]
    profile: counts
    counts: [100, 20]
defaults:
  network: {name: mlp, width: 16, depth: 2}
  sample: {sampler: {name: heun, steps: 3}, num_images: 40}
runs:
  ddpm: {}
  game: {method: igd, train: {label_dropout: 0, class_sampling: balanced}, sample: {guidance: 0}}
evaluate:
  {extractors: [pixels], metrics: [frechet], groups: [class, worst], table_columns: [frechet@worst]}
"""


def test_mlp_and_mutual_learning_on_points(tmp_path):
    checkout = project(tmp_path)
    checkout.config = tmp_path / "config/points.yaml"
    checkout.config.write_text(CONFIG)
    checkout.configs = ["config/points.yaml"]
    checkout.results = tmp_path / "results/points"
    assert checkout.planned() == {
        **job_counts(Experiment(read_config([checkout.config]))),
        "all": 1,
    }
    checkout.snakemake("--cores", "2")
    counts = pd.read_csv(checkout.results / "data/toy/counts.csv")
    assert counts["name"].tolist() == ["wide", "round"], "classes keep the config's order"
    assert counts["train"].tolist() == [100, 20]
    rows = read_rows(checkout.results / "tables/metrics.csv")
    assert set(rows["group"]) == {"class-0", "class-1", "worst"}
    assert rows.query("metric == 'frechet'")["value"].notna().all()
    (points,) = read_npz(checkout.results / "runs/toy/game/seed-0/main/samples.npz", "images")
    assert points.shape == (40, 3, 1, 1)
    with Image.open(checkout.results / "figures/toy-samples.png") as picture:
        assert len(picture.convert("L").getcolors()) > 5
    assert checkout.planned() == {}
