"""Quality against the cost of training: its unit, the Pareto front, and the plot."""

from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from ltdm.reporting import style
from ltdm.reporting.cost_plot import plot_cost
from ltdm.reporting.costs import COLUMNS, TRAINING_COLUMNS, cost_frame
from tests.helpers.tidy_rows import tidy


def trainings(costs, pass_flops=MappingProxyType({})):
    """Costs of trainings by run, one list entry per seed; a pass has 1 FLOP, or that given."""
    rows = [
        (
            run,
            seed,
            float(cost),
            pass_flops.get(run, 1.0 if np.isfinite(cost) else np.nan),
            cost / 100,
            "cpu",
        )
        for run, seeds in costs.items()
        for seed, cost in enumerate(seeds)
    ]
    return pd.DataFrame(rows, columns=TRAINING_COLUMNS)


def front(values, costs, column="frechet"):
    frame = cost_frame(tidy(values), column, trainings(costs), "a")
    return frame.loc[frame["on_front"], "run"].tolist()


def test_values_and_costs_are_means_over_seeds():
    rows = tidy({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    frame = cost_frame(rows, "frechet", trainings({"a": [100, 300], "b": [50, 50]}), "a")
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
        ([1, 1, 2], [4, 5, 6], "a"),
        ([1, 1, 2], [5, 4, 4], "b"),
        ([np.nan, 2, 3], [1, 2, 2], "b"),
        ([1, 2, 3], [np.nan, 2, 3], "b"),
    ],
)
def test_the_front(values, costs, expected):
    """Of equal cost the best; of equal value the cheapest; without a value or a cost never."""
    by_run = ({run: [v] for run, v in zip("abc", part, strict=True)} for part in (values, costs))
    assert front(*by_run) == [*expected]


def test_the_front_of_a_column_where_higher_is_better_and_where_neither_is():
    values, costs = {"a": [10.0], "b": [20.0]}, {"a": [1], "b": [2]}
    assert front(values, costs) == ["a"]
    assert front(values, costs, "recall@tail") == ["a", "b"]
    assert front(values, costs, "frechet:baseline") == []


def test_a_run_without_a_training_has_an_empty_cost():
    frame = cost_frame(tidy({"a": [1.0], "theirs": [2.0]}), "frechet", trainings({"a": [1]}), "a")
    assert frame[["forward_equivalents", "hours", "device"]].isna().all(axis=1).tolist() == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("baseline", "pass_flops", "unit_run", "expected"),
    [
        ("large", {}, "large", [60, 20]),
        ("small", {}, "small", [240, 80]),
        ("large", {"large": np.nan}, "small", [240, 80]),
        ("theirs", {}, "large", [60, 20]),
        ("large", {"large": np.nan, "small": np.nan}, "", [np.nan, np.nan]),
    ],
)
def test_costs_of_different_networks_have_one_unit(baseline, pass_flops, unit_run, expected):
    """That of the baseline, or of the first run with a cost."""
    rows = tidy({"large": [1.0], "small": [1.0], "theirs": [1.0]})
    costs = trainings({"large": [600], "small": [200]}, {"large": 10, "small": 2.5, **pass_flops})
    frame = cost_frame(rows, "frechet", costs, baseline)
    np.testing.assert_array_equal(frame["forward_equivalents"], [*expected, np.nan])
    assert {*frame["unit_run"]} == {unit_run}
    assert frame["flops"].tolist()[:2] == [600, 200]


def plot(values, costs):
    looks = style.line_looks(values)
    return plot_cost(cost_frame(tidy(values), "frechet", trainings(costs), "a"), "d", looks)


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
    assert axes.get_xlabel().endswith("forward passes of one image\nthrough a's network")
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
