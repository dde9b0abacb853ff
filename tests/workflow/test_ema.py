"""Sample sets of several EMA widths; each network is trained once."""

import pytest
from click.testing import CliRunner

from ltdm.cli.main import main
from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.pipeline.cost import job_counts
from ltdm.plumbing.files import read_json
from ltdm.reporting.rows import read_rows
from tests.workflow.conftest import Checkout, project

CONFIG = """
inherits: smoke.yaml
experiment: widths
grid: {run: [ddpm], sample_set: [plain, narrow, wide]}
defaults: {train: {posthoc_ema: {snapshots: 8}}, sample: {num_images: 20}}
sample_sets: {plain: {}, narrow: {ema_sigma_rel: 0.05}, wide: {ema_sigma_rel: 0.2},
              third: {ema_sigma_rel: 0.1}}
evaluate:
  {extractors: [pixels], metrics: [frechet], groups: [all, thirds], table_columns: [frechet]}
"""
RUN = "runs/digits-lt/ddpm/seed-0"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Checkout:
    checkout = project(tmp_path_factory.mktemp("widths"))
    checkout.config = checkout.folder / "config/widths.yaml"
    checkout.config.write_text(CONFIG)
    checkout.configs = ["config/widths.yaml"]
    checkout.results = checkout.folder / "results/widths"
    planned = checkout.planned()
    assert planned == {**job_counts(Experiment(read_config([checkout.config]))), "all": 1}
    checkout.snakemake("--cores", "2")
    return checkout


def test_rows_and_figure_name_the_weights(sweep):
    rows = read_rows(sweep.results / "tables/metrics.csv")
    weights = rows.groupby("sample_set")["weights"].unique().map(list).to_dict()
    assert weights == {"plain": ["ema"], "narrow": ["posthoc-0.05"], "wide": ["posthoc-0.2"]}
    assert rows.query("group == 'all' and metric == 'frechet'")["value"].nunique() == 3
    average = read_json(sweep.results / RUN / "posthoc_ema/0.2.json")
    assert average["model"] == read_json(sweep.results / RUN / "run.json")["key"]
    assert read_json(sweep.results / RUN / "wide/samples.json")["model"] == average["key"]
    assert (sweep.results / "figures/digits-lt-ema-width.png").exists()
    assert sweep.planned() == {}


def test_another_width_adds_one_sample_set_without_training(sweep):
    text = sweep.config.read_text()
    try:
        sweep.config.write_text(text.replace("narrow, wide]", "narrow, wide, third]"))
        assert sweep.planned() == {
            "ema": 1,
            "sample": 1,
            "features": 1,
            "metrics": 1,
            "sample_sheet": 1,
            "tables": 1,
            "figures": 1,
            "ema_width_figure": 1,
            "manifest": 1,
            "page": 1,
            "all": 1,
        }
    finally:
        sweep.config.write_text(text)


def test_shards_and_the_command_draw_the_same_images(sweep):
    samples = sweep.results / RUN / "wide/samples.npz"
    images, target = samples.read_bytes(), str(samples.relative_to(sweep.folder))
    average = sweep.results / RUN / "posthoc_ema/0.2.safetensors"
    samples.unlink()
    samples.with_suffix(".json").unlink()
    average.unlink()
    shared = ("--set-scatter", "samples=2")
    due = sweep.planned(target, *shared)
    assert due == {"ema": 1, "sample_shard": 2, "sample": 1}
    sweep.snakemake("--cores", "2", target, *shared)
    assert samples.read_bytes() == images
    average.unlink()
    arguments = [
        "sample",
        str(sweep.config),
        "--results",
        str(sweep.folder / "results"),
        "--sample-set",
        "wide",
        "--device",
        "cpu",
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert samples.read_bytes() == images


def test_average_of_another_network_is_refused(sweep):
    sweep.forget()
    sweep.rewrite(f"{RUN}/posthoc_ema/0.05.json", model="0123456789abcdef")
    printed = sweep.snakemake("--dry-run", ok=False)
    assert "posthoc_ema/0.05.json (model was" in printed
