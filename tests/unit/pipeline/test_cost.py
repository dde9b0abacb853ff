"""The plan of an experiment: the papers' numbers, a counting hook, and a count by hand."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ltdm.cli.main import main
from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.methods._objective import evaluations
from ltdm.pipeline import cost, storage
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.registry import parse_part
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.training import SPEC, data

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cbdm():
    return Experiment(read_config([ROOT / "config/cbdm.yaml"]))


def test_the_papers_network(cbdm):
    runs = [cbdm.runs["cifar10-lt", run] for run in ("cbdm", "cbdm-ada")]
    plain, with_ada = (cost.network_size(cbdm.datasets["cifar10-lt"], r) for r in runs)
    assert plain.parameters == 35_751_427
    assert with_ada.parameters == plain.parameters + 4608
    assert plain.flops / 2 == pytest.approx(6.222e9, rel=1e-3), "a multiply-add is two"
    assert plain.encoder_flops / plain.flops == pytest.approx(0.267, abs=5e-4)


def test_cost_by_hand(cbdm):
    data, run = cbdm.datasets["cifar10-lt"], cbdm.runs["cifar10-lt", "cbdm"]
    planned = cost.network_cost(data, run, [128])
    assert planned.train_images == 300_000 * 48
    assert planned.train_evaluations == 2 * 300_000 * 48
    assert planned.train_flops == pytest.approx(6 * 300_000 * 48 * planned.flops)
    assert planned.sample_evaluations == 50_000 * 1000 * 2, "guided"
    assert planned.disk == 8 * planned.parameters + 50_000 * (3072 + 4 * 128)
    slow, fast = planned.hours(cost.Speed(10, 10)), planned.hours(cost.Speed(20, 20))
    assert slow == pytest.approx(2 * fast)
    sampling = planned.sample_evaluations * planned.flops
    assert slow * 3600 * 1e13 == pytest.approx(planned.train_flops + sampling)


def test_floats_per_image():
    experiment = Experiment(read_config([ROOT / "config/smoke.yaml"]))
    run = experiment.runs["digits-lt", "ddpm"]
    parts = [parse_part("extractor", name, ()) for name in ("pixels", "classifier", "inception")]
    data = experiment.datasets["digits-lt"]
    lengths = [storage.floats_per_image(extractor, data) for extractor in parts]
    assert lengths == [64, 64 + 10, 2048 + 1008]
    disk = [cost.network_cost(data, run, [n]).disk for n in lengths]
    images = run.samples["main"].num_images
    assert disk[2] - disk[0] == 4 * images * (lengths[2] - lengths[0])


@pytest.mark.parametrize("options", [{}, {"tau": 0.0}, {"commitment_weight": 0.0}])
def test_methods_declare_their_evaluations(options):
    """The declared evaluations equal those of a training with dropped labels."""
    spec = {**SPEC, "method": {"name": "cbdm", **options}}
    spec["train"] = {**SPEC["train"], "label_dropout": 0.3, "batch_size": 32}
    learner = make_trainer(Recipe.from_spec(spec), 0, *data(), torch.device("cpu"))
    for _ in range(4):
        learner.step()
    declared = evaluations([parse_part("method", spec["method"], ())], 3)
    assert learner.calls_per_image() == asdict(declared)


def test_cost_of_a_second_pass_through_the_decoder():
    """5.2 F-equivalents at the papers' size, 6 with own masks; sampling costs no more than DDPM."""
    config = read_config([ROOT / "config/cbdm.yaml"])
    cm = {"method": {"name": "cm", "masks": "shared"}, "network": {"reserve": 0.1}}
    config["runs"] |= {"cm": cm, "own": {**cm, "method": "cm"}, "ddpm": {}}
    config["grid"]["run"] = ["ddpm", "cm", "own"]
    experiment = Experiment(config)
    data = experiment.datasets["cifar10-lt"]
    ddpm, shared, own = (
        cost.network_cost(data, experiment.runs["cifar10-lt", name], [])
        for name in config["grid"]["run"]
    )
    assert own.parameters == shared.parameters == ddpm.parameters + 3_129_984
    assert own.flops == shared.flops == ddpm.flops
    assert shared.train_flops / ddpm.train_flops == pytest.approx(5.2 / 3, abs=2e-3)
    assert own.train_flops == 2 * ddpm.train_flops


def test_cost_of_networks_per_class_and_of_encoder_passes():
    config = read_config([ROOT / "config/demo.yaml"])
    config["runs"]["ccua"] = {"method": {"name": "ccua", "al": 0}}
    config["runs"]["tuned"] = {"train": {"init_from": "ccua"}}
    config["grid"]["run"] = ["igd-separate", "tuned"]
    experiment = Experiment(config)
    data, costs = experiment.datasets["digits-lt"], {}
    for (_, name), run in experiment.runs.items():
        costs[name] = cost.network_cost(data, run, []), cost.network_size(data, run)
    game, game_size = costs["igd-separate"]
    assert game.parameters == 10 * game_size.parameters
    steps = experiment.runs["digits-lt", "igd-separate"].train.steps
    assert game.train_images == steps * 60, "6 images per class"
    assert game.train_flops == pytest.approx((2 + 2) * game_size.flops * game.train_images)
    ccua, size = costs["ccua"]
    flops = 3 * size.flops + 3 * size.encoder_flops
    assert ccua.train_flops == pytest.approx(flops * ccua.train_images)
    assert list(costs) == ["igd-separate", "ccua", "tuned"], (
        "the run that others start from comes first"
    )
    assert cost.job_counts(experiment)["train"] == 6
    assert cost.job_counts(experiment)["sample"] == 4
    table = cost.plan_table(experiment, {})
    assert table["sampling", "k images"].tolist()[:3] == [1, 0, 1]
    total = storage.results_bytes(experiment)
    assert total == pytest.approx(1e9 * table["both", "GB"].iloc[-1])


def ltdm(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_printed_plan(tmp_path):
    smoke = ROOT / "config/smoke.yaml"
    printed = ltdm("plan", smoke)
    assert "GPU-hours" not in printed.splitlines()[2]
    assert "give --bench FILE" in printed
    assert "31 jobs: 1 prepare" in printed
    bench = tmp_path / "bench.json"
    row = {"train_tflops": 0.001, "sample_tflops": 0.002}
    bench.write_text(json.dumps({"rows": [{"run": "ddpm", **row}]}))
    printed = ltdm("plan", smoke, "--bench", bench)
    hours = [
        float(line.split()[-1]) for line in printed.splitlines() if re.match(r" *digits", line)
    ]
    experiment = Experiment(read_config([smoke]))
    for value, run in zip(hours, experiment.runs.values(), strict=True):
        planned = cost.network_cost(experiment.datasets["digits-lt"], run, [16, 64])
        assert value == pytest.approx(planned.hours(cost.Speed(0.001, 0.002)), rel=0.01)
    (last,) = [line for line in printed.splitlines() if line.split()[:1] == ["all"]]
    assert float(last.split()[-1]) == pytest.approx(sum(hours), rel=0.02)
    assert ltdm("plan", smoke, "--tflops", 0.001) != printed


@pytest.mark.parametrize("speed", ["0", '"a"', "null"])
def test_invalid_speeds(tmp_path, speed):
    bench, row = tmp_path / "bench.json", '{"run": "x", "train_tflops": %s, "sample_tflops": 1}'
    bench.write_text('{"rows": [%s]}' % (row % speed))
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--bench", bench, code=1)
    assert "is no file of `ltdm bench runs --json`" in printed
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--tflops", "nan", code=1)
    assert "--tflops must be a number above 0" in printed


def test_restricted_grid():
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--run", "cbdm")
    assert "21 jobs" in printed and " ddpm " not in printed


@pytest.mark.parametrize("text", ["{}", '{"rows": []}', '{"rows": [{"run": "x"}]}', "[]", "{"])
def test_invalid_bench_files(tmp_path, text):
    (tmp_path / "bench.json").write_text(text)
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--bench", tmp_path / "bench.json", code=1)
    assert "bench.json" in printed and printed.count("\n") == 1
    with pytest.raises(LtdmError):
        cost.load_speeds(
            Experiment(read_config([ROOT / "config/smoke.yaml"])), tmp_path / "none", None
        )
