"""The linear probe in an experiment: errors, lineage, cost, tables and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.patches import Rectangle
from torch.utils.flop_counter import FlopCounterMode

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, read_config
from ltdm.config.site import Site
from ltdm.networks import edm2
from ltdm.pipeline import cost
from ltdm.pipeline.lineage import lineage
from ltdm.pipeline.records import expected_records
from ltdm.pipeline.resources import SAFETY_FACTOR, Estimates
from ltdm.plumbing.errors import OptionError
from ltdm.reporting import probe
from ltdm.reporting.heat_maps import plot_heat_maps
from ltdm.reporting.rows import write_rows
from ltdm.stages import probe_figure, probe_tables
from tests.helpers.tidy_rows import probe_rows
from tests.unit.cli.test_cli import SMOKE, ltdm

ROOT = Path(__file__).parents[3]


def smoke(options, over=None):
    config = {"evaluate": {"probe": options}}
    return Experiment(merge([read_config([ROOT / "config/smoke.yaml"]), config, over or {}]))


@pytest.mark.parametrize(
    ("options", "over", "message"),
    [
        ({}, {}, r"evaluate.probe.layers: include out_6, but .* ddpm on digits-lt has only 5"),
        ({"layers": [1], "noise_levels": [0]}, {}, "noise_levels: must be at least 1"),
        (
            {"layers": [1]},
            {"defaults": {"process": {"T": 20}}},
            "noise_levels: are among 18 levels, but the process of ddpm on digits-lt has fewer",
        ),
        (
            {"layers": [1]},
            {
                "runs": {
                    "cbdm": {
                        "method": {"name": "igd", "mode": "separate"},
                        "train": {"label_dropout": 0},
                        "sample": {"guidance": 0},
                    }
                }
            },
            "evaluate.probe: needs a single network, but cbdm on digits-lt trains one per class",
        ),
        (
            {"layers": [1]},
            {
                "datasets": {"digits-lt": {"source": "mixture", "reference_split": "test"}},
                "evaluate": {"extractors": ["pixels"], "table_columns": ["frechet"]},
                "defaults": {"network": {"ch_mult": [1], "num_res_blocks": 1, "attn": []}},
            },
            "train_on: is balanced, but the reference of ddpm on digits-lt is the test split",
        ),
    ],
)
def test_probes_that_do_not_fit_the_network(options, over, message):
    with pytest.raises(OptionError, match=message):
        smoke(options, over)


def test_lineage_and_jobs():
    experiment = smoke({"layers": [1, 5], "lr": 0.01, "train_on": "long-tailed"})
    parents = {str(k): list(map(str, v)) for k, v in lineage(experiment.plan).items()}
    data, at = "results/smoke/data/digits-lt", "results/smoke/runs/digits-lt/cbdm/seed-0"
    assert parents[f"{at}/probe.csv"] == [
        f"{at}/model.safetensors",
        f"{data}/train.npz",
        f"{data}/probe_split.npz",
        f"{data}/counts.csv",
    ]
    assert parents[f"{data}/probe_split.npz"] == [f"{data}/reference.npz"]
    assert len(parents["results/smoke/tables/probe.csv"]) == 2
    requests = {each.record.as_posix(): each.request for each in expected_records(experiment.plan)}
    request = requests[f"{at}/probe.json"]
    assert request["probe"] == {"layers": [1, 5], "lr": 0.01, "train_on": "long-tailed"}
    assert request["groups"] == {"kinds": ["all", "thirds", "shots"], "shots": [100, 20]}
    assert requests[f"{data}/probe_split.json"]["source"] == {"name": "digits"}
    jobs = cost.job_counts(experiment)
    rules = ("probe_split", "probe", "probe_tables", "probe_figure")
    assert [jobs[rule] for rule in rules] == [1, 2, 1, 1]
    without = Experiment(read_config([ROOT / "config/smoke.yaml"]))
    assert not {*rules} & set(cost.job_counts(without))
    assert not [
        one for one in expected_records(without.plan) if one.record.stem in ("probe", "probe_split")
    ]


def test_check_warns_of_networks_never_trained_without_labels(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text(
        "evaluate: {probe: {layers: [1]}}\nruns: {cbdm: {train: {label_dropout: 0},"
        " sample: {guidance: 0}}}"
    )
    printed = ltdm("check", SMOKE, over)
    assert "cbdm on digits-lt: was never trained without labels" in printed
    assert "ddpm on digits-lt: was" not in printed
    assert "was never" not in ltdm("check", SMOKE)


@pytest.mark.parametrize(
    ("blocks", "attn", "side", "part"), [(2, (1,), 32, 0.302), (4, (2,), 64, 0.312)]
)
def test_probed_part_of_the_network_at_the_papers_sizes(blocks, attn, side, part):
    """The shares of the FLOP in the specification, without the products of attention."""
    with torch.device("meta"):
        net = edm2.build(edm2.Options(config="C", num_res_blocks=blocks, attn=attn), 3, side, 0)
        inputs = torch.empty(1, 3, side, side), torch.ones(1), torch.zeros(1, dtype=torch.int64)
        flops = []
        for taps in (6, 0):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                net(*inputs, decoder_blocks=taps)
            flops.append(counter.get_total_flops())
    assert flops[0] / flops[1] == pytest.approx(part, abs=0.005)


def test_cost():
    experiment = smoke({"layers": [1], "noise_levels": [3, 4], "epochs": 9})
    assert experiment.evaluate.probe.evaluations(1797) == 2 * 1797 * 10
    assert "In addition, linear probes: 0.0719 M evaluations" in cost.format_plan(experiment, {})
    flops = cost.network_size(
        experiment.datasets["digits-lt"], experiment.runs["digits-lt", "ddpm"]
    ).flops
    site = Site(tflops=2 * 2 * 1797 * 10 * flops / 6e13)
    job = {"dataset": "digits-lt", "run": "ddpm", "seed": "0"}
    assert Estimates(experiment, site, 1).probe_seconds(job) == pytest.approx(SAFETY_FACTOR * 30)


def test_table_shows_the_chosen_level_and_layer():
    table = probe.probe_table(probe_rows())
    assert list(table.cells.index) == ["ddpm", "cbdm"]
    assert [name.removesuffix(" ↑") for name in table.cells] == [
        "accuracy",
        "accuracy (many-shot)",
        "accuracy (few-shot)",
    ]
    cell = table.cells.loc["cbdm"].iloc[2]
    assert (cell.mean, cell.seeds) == (pytest.approx(0.486), 2)
    assert cell.deviation == pytest.approx(np.std([0.436, 0.536], ddof=1))
    assert cell.best
    assert table.legend[0] == "± standard deviation over 2 seeds."
    assert "Test images: the source's test split." in table.legend[1]
    single = probe.probe_table(probe_rows().query("seed == 0"))
    assert single.legend[0] == "± standard error over test images; one seed."


def test_heat_map_per_run():
    figure = plot_heat_maps(probe.probe_frame(probe_rows()), "digits")
    first, second, bar = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["ddpm", "cbdm"]
    values = first.images[0].get_array()
    assert values[0].tolist() == pytest.approx([58.5, 58.6]), "level 3, mean over seeds, in percent"
    assert [t.get_text() for t in first.get_yticklabels()] == ["3 (0.02)", "4 (0.06)"]
    frames = [p for p in first.patches if isinstance(p, Rectangle)]
    assert [(p.get_x() + 0.46, p.get_y() + 0.46) for p in frames] == [(1, 0)]
    assert first.images[0].get_clim() == second.images[0].get_clim()
    assert bar.get_xlabel() == "accuracy, %"


def test_files_of_tables_and_figure(tmp_path):
    write_rows(probe_rows(), tmp_path / "probe.csv")
    tidy, main = tmp_path / "tables/probe-all.csv", tmp_path / "tables/probe.html"
    others = [main.with_suffix(ending) for ending in (".csv", ".md", ".tex")]
    files = {"tidy": tidy, "main": main, "others": others}
    probe_tables.run({"code": "this"}, probes=[tmp_path / "probe.csv"], **files)
    assert {*(tmp_path / "tables").iterdir()} == {tidy, main, *others}
    pictures = {ending: tmp_path / f"a.{ending}" for ending in ("pdf", "png", "csv")}
    probe_figure.run({"code": "this", "where": {"dataset": "digits"}}, tidy=tidy, **pictures)
    assert all(pictures[ending].stat().st_size > 1000 for ending in ("pdf", "png"))
    frame = pd.read_csv(pictures["csv"])
    assert list(frame) == ["run", "level", "sigma", "layer", "accuracy", "chosen"]
    chosen = frame[frame["chosen"] > 0]
    assert chosen[["run", "level", "layer", "chosen"]].to_numpy().tolist() == [
        ["ddpm", 3, 6, 2],
        ["cbdm", 3, 6, 2],
    ]
    assert chosen["accuracy"].tolist() == pytest.approx([0.586, 0.686]), "the mean of two seeds"


def test_by_hand(tmp_path):
    at = ("--results", tmp_path)
    assert "requests no probe" in ltdm("probe", SMOKE, *at, code=1)
    over = tmp_path / "over.yaml"
    over.write_text(
        "evaluate: {probe: {layers: [1], epochs: 1}}\ndefaults: {train: {steps: 5, log_every: 5}}"
    )
    for command in ("prepare", "train"):
        ltdm(command, SMOKE, over, *at)
    printed = ltdm("probe", SMOKE, over, *at, "--run", "cbdm")
    file = tmp_path / "smoke/runs/digits-lt/cbdm/seed-0/probe.csv"
    assert str(file) in printed
    assert not file.with_name("samples.npz").exists()
    assert len(pd.read_csv(file)) == 7
