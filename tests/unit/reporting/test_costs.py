"""Quality against the cost of training: the records, the Pareto front, and the plot."""

import json

import numpy as np
import pandas as pd
import pytest

from ltdm.config.experiment import Experiment
from ltdm.pipeline.cost import network_cost
from ltdm.plumbing.errors import LtdmError
from ltdm.reporting import style
from ltdm.reporting.cost_plot import plot_cost
from ltdm.reporting.costs import COLUMNS, TRAINING_COLUMNS, cost_frame
from ltdm.training.spent import read_training_cost
from tests.helpers.figure_files import write_network
from tests.helpers.smoke_config import edited
from tests.helpers.tidy_rows import tidy

IMAGES = np.zeros((3, 1, 8, 8), np.uint8)


def trainings(costs):
    """Costs of trainings by run, one list entry per seed."""
    rows = [
        (run, seed, float(cost), cost / 100, "cpu")
        for run, seeds in costs.items()
        for seed, cost in enumerate(seeds)
    ]
    return pd.DataFrame(rows, columns=TRAINING_COLUMNS)


def front(values, costs, column="frechet"):
    frame = cost_frame(tidy(values), column, trainings(costs))
    return frame.loc[frame["on_front"], "run"].tolist()


def test_values_and_costs_are_means_over_seeds():
    rows = tidy({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    frame = cost_frame(rows, "frechet", trainings({"a": [100, 300], "b": [50, 50]}))
    assert list(frame) == COLUMNS
    a, b = frame.to_dict("records")
    assert (a["column"], a["higher_is_better"], a["sample_set"]) == ("frechet", False, "main")
    assert (a["value"], a["forward_equivalents"], a["hours"], a["device"]) == (1.5, 200, 2, "cpu")
    assert (b["low"], b["high"]) == pytest.approx((4 - 2**0.5, 4 + 2**0.5))
    assert (a["on_front"], b["on_front"]) == (True, True)


@pytest.mark.parametrize(
    ("values", "costs", "expected"),
    [
        ([3, 2, 1], [1, 2, 3], "abc"),
        ([1, 2, 3], [1, 2, 3], "a"),
        ([3, 1, 2], [1, 2, 3], "ab"),
        ([3, 1, 2], [5, 5, 5], "b"),
        ([1, 1, 2], [5, 5, 5], "ab"),
        ([1, 1, 2], [4, 5, 6], "ab"),
        ([np.nan, 2, 3], [1, 2, 2], "b"),
        ([1, 2, 3], [np.nan, 2, 3], "b"),
    ],
)
def test_the_front(values, costs, expected):
    """Of equal cost the best; of equal value all; without a value or a cost never."""
    by_run = ({run: [v] for run, v in zip("abc", part, strict=True)} for part in (values, costs))
    assert front(*by_run) == [*expected]


def test_the_front_of_a_column_where_higher_is_better_and_where_neither_is():
    values, costs = {"a": [10.0], "b": [20.0]}, {"a": [1], "b": [2]}
    assert front(values, costs) == ["a"]
    assert front(values, costs, "recall@tail") == ["a", "b"]
    assert front(values, costs, "frechet:baseline") == []


def test_a_run_without_a_training_has_an_empty_cost():
    frame = cost_frame(tidy({"a": [1.0], "theirs": [2.0]}), "frechet", trainings({"a": [1]}))
    assert frame[["forward_equivalents", "hours", "device"]].isna().all(axis=1).tolist() == [
        False,
        True,
    ]


# Records


def test_forward_equivalents_and_hours_by_hand(tmp_path):
    cost = read_training_cost(*write_network(tmp_path), IMAGES, 3)
    assert cost == (10 * 8 * (2 + 2 * 1), 0.5, "cpu, 1 threads, fp32")


def test_hours_of_several_gpus_and_of_a_resumed_training(tmp_path):
    gpus = ["4 x NVIDIA H100, bf16"]
    cost = read_training_cost(*write_network(tmp_path, where=gpus), IMAGES, 3)
    assert (cost.hours, cost.device) == (2, "4 x NVIDIA H100, bf16")
    processes = write_network(tmp_path, where=["4 x cpu, 1 threads, fp32"])
    assert read_training_cost(*processes, IMAGES, 3).hours == 0.5, "of one machine"
    resumed = write_network(tmp_path, where=["cpu, 2 threads", *gpus], resumed_at=5)
    cost = read_training_cost(*resumed, IMAGES, 3)
    assert (cost.hours, cost.device) == (4, "cpu, 2 threads; 4 x NVIDIA H100, bf16")
    only_written = write_network(tmp_path, resumed_at=10)
    assert np.isnan(read_training_cost(*only_written, IMAGES, 3).hours)


def test_passes_through_the_encoder_count_as_in_the_plan(tmp_path):
    """CCUA and capacity manipulation's second pass, at the size of the smoke test."""
    for method, reserve in (
        ({"name": "ccua", "al": 0}, 0.0),
        ({"name": "cm", "masks": "shared"}, 0.25),
    ):
        config = edited("runs/cbdm", {"method": method, "network": {"reserve": reserve}})
        experiment = Experiment(config)
        data, run = experiment.datasets["digits-lt"], experiment.runs["digits-lt", "cbdm"]
        planned = network_cost(data, run, [])
        calls = run.methods[0].module.evaluations(run.methods[0].options, 10)
        partial = {"encoder": calls.encoder, "decoder": calls.decoder}
        assert any(partial.values())
        calls = {"forward": 1 + calls.forward, "backward": 1 + calls.backward, **partial}
        steps = planned.train_images // 8
        record = {"spec": run.spec(), "evaluations_per_image": calls, "steps": steps}
        cost = read_training_cost(*write_network(tmp_path, **record), IMAGES, 10)
        assert cost.forward_equivalents == pytest.approx(planned.train_flops / planned.flops)


@pytest.mark.parametrize("key", ["evaluations_per_image", "steps", "where", "seconds"])
def test_a_record_that_lacks_a_key_is_named(key, tmp_path):
    record, history = write_network(tmp_path)
    fields = json.loads(record.read_text())
    del fields[key]
    record.write_text(json.dumps(fields))
    with pytest.raises(LtdmError, match=r"run.json is damaged.*; delete it"):
        read_training_cost(record, history, IMAGES, 3)


def test_a_history_without_rows_is_named(tmp_path):
    record, history = write_network(tmp_path)
    history.write_text("step,images,denoise\n")
    with pytest.raises(LtdmError, match=r"history.csv is damaged"):
        read_training_cost(record, history, IMAGES, 3)


# The plot


def plot(values, costs):
    looks = style.line_looks(values)
    return plot_cost(cost_frame(tidy(values), "frechet", trainings(costs)), "d", looks)


def step_of(figure):
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_label() == "Pareto front"]
    return line.get_xydata()


def test_the_front_is_a_step_line_to_the_edge():
    costs = {"a": [100], "b": [200], "c": [300]}
    figure = plot({"a": [3.0], "b": [1.0], "c": [2.0]}, costs)
    (axes,) = figure.axes
    right = axes.get_xlim()[1]
    assert step_of(figure).tolist() == [[100, 3], [200, 1], [right, 1]]
    assert right > 300
    assert axes.get_xscale() == "linear"
    assert axes.get_ylabel() == "frechet \u2193"
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {*"abc", "Pareto front"}
    wide = plot({"a": [3.0], "b": [1.0]}, {"a": [100], "b": [5000]})
    assert wide.axes[0].get_xscale() == "log"


def test_runs_without_a_cost_are_not_drawn():
    figure = plot({"a": [3.0], "theirs": [1.0]}, {"a": [100], "theirs": [np.nan]})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Pareto front", "a"]
    none = plot({"theirs": [1.0]}, {"theirs": [np.nan]})
    assert [text.get_text() for text in none.axes[0].texts] == [
        "no run has both a value and a cost"
    ]


def test_runs_of_equal_cost():
    figure = plot({"a": [3.0], "b": [1.0]}, {"a": [100], "b": [100]})
    assert step_of(figure)[0].tolist() == [100, 1]
    figure.draw_without_rendering()
