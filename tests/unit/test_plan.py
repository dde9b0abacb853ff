"""The plan of an experiment, against the papers' numbers, a hook and a count by hand."""

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ltdm import plan
from ltdm.cli import main
from ltdm.config import Experiment
from ltdm.errors import LtdmError
from ltdm.merging import read
from ltdm.registry import part
from ltdm.stages.train import make_trainer
from tests.unit.test_training import SPEC, data

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cbdm():
    return Experiment(read([ROOT / "config/cbdm.yaml"]))


def test_the_papers_network(cbdm):
    runs = [cbdm.runs["cifar10-lt", run] for run in ("cbdm", "cbdm-ada")]
    (plain, operations), (told, _) = (plan.measure(cbdm.datasets["cifar10-lt"], r) for r in runs)
    assert plain == 35_751_427
    assert told == plain + 4608
    assert operations / 2 == pytest.approx(6.222e9, rel=1e-3), "multiplications with additions"


def test_cost_by_hand(cbdm):
    data, run = cbdm.datasets["cifar10-lt"], cbdm.runs["cifar10-lt", "cbdm"]
    one = plan.cost(data, run, [128])
    assert one.train_images == 300_000 * 48
    assert one.train_evaluations == pytest.approx(1.9 * 300_000 * 48)
    assert one.train_operations == pytest.approx(5.7 * 300_000 * 48 * one.operations)
    assert one.sample_evaluations == 50_000 * 1000 * 2, "guided"
    assert one.disk == 8 * one.parameters + 50_000 * (3072 + 4 * 128)
    slow, fast = one.hours(plan.Speed(10, 10)), one.hours(plan.Speed(20, 20))
    assert slow == pytest.approx(2 * fast)
    sampling = one.sample_evaluations * one.operations
    assert slow * 3600 * 1e13 == pytest.approx(one.train_operations + sampling)


@pytest.mark.parametrize("options", [{}, {"tau": 0.0}, {"rc_weight": 0.0}])
def test_methods_cost_what_they_say(options):
    """Declared evaluations against those of a training, over enough updates for the dropout."""
    spec = {**SPEC, "method": {"name": "cbdm", **options}}
    spec["train"] = {**SPEC["train"], "label_dropout": 0.3, "batch": 32}
    learner = make_trainer(spec, 0, *data(), torch.device("cpu"))
    for _ in range(40):
        learner.step()
    method = part("method", spec["method"], ())
    declared, _ = method.module.evaluations(method.options, 0.3)
    assert learner.predict.evaluations / (40 * 32) == pytest.approx(declared, rel=0.05)


def ltdm(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_plan_as_printed(tmp_path):
    smoke = ROOT / "config/smoke.yaml"
    printed = ltdm("plan", smoke)
    assert "GPU-hours" not in printed.splitlines()[2]
    assert "give --bench FILE" in printed
    assert "22 jobs: 1 prepare" in printed
    bench = tmp_path / "bench.json"
    row = {"train_tflops": 0.001, "sample_tflops": 0.002}
    bench.write_text(json.dumps({"rows": [{"run": "ddpm", **row}]}))
    printed = ltdm("plan", smoke, "--bench", bench)
    hours = [
        float(line.split()[-1]) for line in printed.splitlines() if re.match(r" *digits", line)
    ]
    experiment = Experiment(read([smoke]))
    for value, run in zip(hours, experiment.runs.values(), strict=True):
        one = plan.cost(experiment.datasets["digits-lt"], run, [16, 64])
        assert value == pytest.approx(one.hours(plan.Speed(0.001, 0.002)), rel=0.01)
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
    assert "15 jobs" in printed and " ddpm " not in printed


@pytest.mark.parametrize("text", ["{}", '{"rows": []}', '{"rows": [{"run": "x"}]}', "[]", "{"])
def test_figures_that_are_none(tmp_path, text):
    (tmp_path / "bench.json").write_text(text)
    printed = ltdm("plan", ROOT / "config/smoke.yaml", "--bench", tmp_path / "bench.json", code=1)
    assert "bench.json" in printed and printed.count("\n") == 1
    with pytest.raises(LtdmError):
        plan.speeds(Experiment(read([ROOT / "config/smoke.yaml"])), tmp_path / "none", None)
