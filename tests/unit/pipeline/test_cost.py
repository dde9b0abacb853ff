"""The plan of an experiment, against the papers' numbers, a hook and a count by hand."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ltdm.cli.main import main
from ltdm.config.experiment import Experiment
from ltdm.config.merge import read
from ltdm.methods._objective import evaluations
from ltdm.pipeline import cost
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.registry import part
from ltdm.training.setup import Recipe, make_trainer
from tests.unit.training.test_training import SPEC, data

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cbdm():
    return Experiment(read([ROOT / "config/cbdm.yaml"]))


def test_the_papers_network(cbdm):
    runs = [cbdm.runs["cifar10-lt", run] for run in ("cbdm", "cbdm-ada")]
    plain, told = (cost.network_size(cbdm.datasets["cifar10-lt"], r) for r in runs)
    assert plain.parameters == 35_751_427
    assert told.parameters == plain.parameters + 4608
    assert plain.flops / 2 == pytest.approx(6.222e9, rel=1e-3), "a multiply-add is two"
    assert plain.encoder_flops / plain.flops == pytest.approx(0.267, abs=5e-4)


def test_cost_by_hand(cbdm):
    data, run = cbdm.datasets["cifar10-lt"], cbdm.runs["cifar10-lt", "cbdm"]
    one = cost.network_cost(data, run, [128])
    assert one.train_images == 300_000 * 48
    assert one.train_evaluations == 2 * 300_000 * 48
    assert one.train_flops == pytest.approx(6 * 300_000 * 48 * one.flops)
    assert one.sample_evaluations == 50_000 * 1000 * 2, "guided"
    assert one.disk == 8 * one.parameters + 50_000 * (3072 + 4 * 128)
    slow, fast = one.hours(cost.Speed(10, 10)), one.hours(cost.Speed(20, 20))
    assert slow == pytest.approx(2 * fast)
    sampling = one.sample_evaluations * one.flops
    assert slow * 3600 * 1e13 == pytest.approx(one.train_flops + sampling)


def test_what_is_stored_of_an_image():
    experiment = Experiment(read([ROOT / "config/smoke.yaml"]))
    one = experiment.runs["digits-lt", "ddpm"]
    parts = [part("extractor", name, ()) for name in ("pixels", "classifier", "inception")]
    data = experiment.datasets["digits-lt"]
    numbers = [cost.floats_per_image(extractor, data) for extractor in parts]
    assert numbers == [64, 64 + 10, 2048 + 1008]
    each = [cost.network_cost(data, one, [n]).disk for n in numbers]
    images = one.samples["main"].num_images
    assert each[2] - each[0] == 4 * images * (numbers[2] - numbers[0])


@pytest.mark.parametrize("options", [{}, {"tau": 0.0}, {"commitment_weight": 0.0}])
def test_methods_cost_what_they_say(options):
    """Declared evaluations against those of a training, where labels are dropped."""
    spec = {**SPEC, "method": {"name": "cbdm", **options}}
    spec["train"] = {**SPEC["train"], "label_dropout": 0.3, "batch_size": 32}
    learner = make_trainer(Recipe.of(spec), 0, *data(), torch.device("cpu"))
    for _ in range(4):
        learner.step()
    declared = evaluations([part("method", spec["method"], ())], 3)
    assert learner.counted() == asdict(declared)


def test_a_network_a_class_and_its_encoder_are_reckoned_with():
    config = read([ROOT / "config/demo.yaml"])
    config["runs"]["ccua"] = {"method": {"name": "ccua", "al": 0}}
    config["runs"]["tuned"] = {"train": {"init_from": "ccua"}}
    config["grid"]["run"] = ["igd-separate", "tuned"]
    experiment = Experiment(config)
    data, costs = experiment.datasets["digits-lt"], {}
    for (_, name), run in experiment.runs.items():
        costs[name] = cost.network_cost(data, run, []), cost.network_size(data, run)
    game, one = costs["igd-separate"]
    assert game.parameters == 10 * one.parameters
    updates = experiment.runs["digits-lt", "igd-separate"].train.steps
    assert game.train_images == updates * 60, "6 of each class"
    assert game.train_flops == pytest.approx((2 + 2) * one.flops * game.train_images)
    ccua, size = costs["ccua"]
    each = 3 * size.flops + 3 * size.encoder_flops
    assert ccua.train_flops == pytest.approx(each * ccua.train_images)
    assert list(costs) == ["igd-separate", "ccua", "tuned"], "what others start from comes first"
    assert cost.job_counts(experiment)["train"] == 6
    assert cost.job_counts(experiment)["sample"] == 4
    table = cost.plan_table(experiment, {})
    assert table["sampling", "k images"].tolist()[:3] == [1, 0, 1]


def ltdm(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_plan_as_printed(tmp_path):
    smoke = ROOT / "config/smoke.yaml"
    printed = ltdm("plan", smoke)
    assert "GPU-hours" not in printed.splitlines()[2]
    assert "give --bench FILE" in printed
    assert "29 jobs: 1 prepare" in printed
    bench = tmp_path / "bench.json"
    row = {"train_tflops": 0.001, "sample_tflops": 0.002}
    bench.write_text(json.dumps({"rows": [{"run": "ddpm", **row}]}))
    printed = ltdm("plan", smoke, "--bench", bench)
    hours = [
        float(line.split()[-1]) for line in printed.splitlines() if re.match(r" *digits", line)
    ]
    experiment = Experiment(read([smoke]))
    for value, run in zip(hours, experiment.runs.values(), strict=True):
        one = cost.network_cost(experiment.datasets["digits-lt"], run, [16, 64])
        assert value == pytest.approx(one.hours(cost.Speed(0.001, 0.002)), rel=0.01)
    (last,) = [line for line in printed.splitlines() if line.split()[:1] == ["all"]]
    assert float(last.split()[-1]) == pytest.approx(sum(hours), rel=0.02)
    assert ltdm("plan", smoke, "--tflops", 0.001) != printed


@pytest.mark.parametrize("speed", ["0", '"a"', "null"])
def test_speeds_that_are_none(tmp_path, speed):
    bench, row = tmp_path / "bench.json", '{"run": "x", "train_tflops": %s, "sample_tflops": 1}'
    bench.write_text('{"rows": [%s]}' % (row % speed))
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--bench", bench, code=1)
    assert "holds no figures" in printed
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--tflops", "nan", code=1)
    assert "--tflops must be a number above 0" in printed


def test_a_part_of_the_grid():
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--run", "cbdm")
    assert "19 jobs" in printed and " ddpm " not in printed


@pytest.mark.parametrize("text", ["{}", '{"rows": []}', '{"rows": [{"run": "x"}]}', "[]", "{"])
def test_figures_that_are_none(tmp_path, text):
    (tmp_path / "bench.json").write_text(text)
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--bench", tmp_path / "bench.json", code=1)
    assert "bench.json" in printed and printed.count("\n") == 1
    with pytest.raises(LtdmError):
        cost.load_speeds(Experiment(read([ROOT / "config/smoke.yaml"])), tmp_path / "none", None)
