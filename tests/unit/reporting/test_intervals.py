"""Differences from the baseline: the numbers, and the plot of them."""

import numpy as np
import pandas as pd
import pytest

from ltdm.reporting.forest_plot import MAX_PANELS, plot_intervals
from ltdm.reporting.intervals import COLUMNS, intervals_frame
from ltdm.reporting.tables import difference_table
from tests.helpers.figure_files import draw
from tests.helpers.tidy_rows import tidy

VALUES = {"base": [4.0, 5.0, 6.0], "good": [1.0, 2.1, 2.9], "bad": [5.0, 5.0, 8.0]}
QUANTILE = 4.302652730
"""Student's, of 2 degrees of freedom, for 95 %."""


def by_run(frame, column="frechet"):
    return frame[frame["column"] == column].set_index("run")


def test_differences_by_hand():
    frame = intervals_frame(tidy(VALUES), ["frechet", "recall@tail"], "base")
    assert list(frame) == COLUMNS
    assert frame["run"].tolist() == ["good", "bad"] * 2, "in the rows' order"
    assert frame["column"].tolist() == ["frechet"] * 2 + ["recall (k = 3, tail)"] * 2
    assert frame["higher_is_better"].tolist() == [False, False, True, True]
    good, bad = by_run(frame).loc[["good", "bad"]].to_dict("records")
    assert good["difference"] == pytest.approx(-3)
    half = QUANTILE * np.std([-3, -2.9, -3.1], ddof=1) / 3**0.5
    assert (good["low"], good["high"]) == pytest.approx((-3 - half, -3 + half))
    assert (good["seeds"], good["better"], bad["better"]) == (3, True, False)
    assert not by_run(frame, "recall (k = 3, tail)").loc["good", "better"], "less recall"
    assert {*frame["baseline_run"]} == {"base"}


def test_they_are_those_of_the_table_of_differences():
    columns = ["recall@tail", "frechet"]
    table = difference_table(tidy(VALUES), columns, "base").cells
    frame = intervals_frame(tidy(VALUES), columns, "base")
    cells = [cell for heading in table for cell in table[heading]]
    shown = frame[["difference", "low", "high", "seeds", "better"]].to_numpy().tolist()
    assert shown == [[*cell.interval, cell.best] for cell in cells]


@pytest.mark.parametrize("values", [{"base": [1.0]}, {"a": [1.0], "b": [2.0]}])
def test_one_run_alone_or_no_baseline(values, tmp_path):
    frame = intervals_frame(tidy(values), ["frechet"], "base")
    assert frame["difference"].isna().all()
    figure = plot_intervals(frame, "d", "base")
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["no run to compare with base"]
    draw(tmp_path, tidy(values), [*values], baseline="base")


def test_a_column_without_a_direction_and_values_that_are_missing():
    rows = tidy(VALUES).assign(baseline=1.0)
    rows.loc[rows["run"] == "good", "value"] = np.nan
    frame = intervals_frame(rows, ["frechet:baseline", "frechet"], "base")
    undirected, directed = frame[:2], frame[2:]
    assert undirected["higher_is_better"].isna().all()
    assert not frame["better"].any()
    assert directed["difference"].isna().tolist() == [True, False]
    figure = plot_intervals(frame, "d", "base")
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "\u2190 better"]


def test_panels_and_their_marks():
    frame = intervals_frame(tidy(VALUES), ["frechet", "recall@tail"], "base")
    figure = plot_intervals(frame, "digits", "base")
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["frechet", "recall (k = 3, tail)"]
    assert [left.get_xlabel(), right.get_xlabel()] == ["\u2190 better", "better \u2192"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["good", "bad"]
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first run on top"
    points = [line for line in left.get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in points] == pytest.approx([-3, 1])
    filled = [line.get_markerfacecolor() == line.get_color() for line in points]
    assert filled == [True, False]


def test_intervals_outside_a_panel_end_with_an_arrowhead():
    rows = tidy({"base": [0.0, 0.0], "near": [1.0, 1.01], "wide": [0.0, 2.0]})
    (axes,) = plot_intervals(intervals_frame(rows, ["frechet"], "base"), "d", "base").axes
    heads = [line for line in axes.get_lines() if line.get_marker() in "<>"]
    assert [(head.get_marker(), *head.get_ydata()) for head in heads] == [("<", 1), (">", 1)]
    left, right = axes.get_xlim()
    assert (left, right) == pytest.approx((-3.375, 3.375), rel=0.02), "thrice the difference"


def test_six_columns_at_most_are_drawn():
    frame = intervals_frame(tidy(VALUES), ["frechet"], "base")
    many = pd.concat([frame.assign(column=f"column {k}") for k in range(9)])
    figure = plot_intervals(many, "d", "base")
    assert len([axes for axes in figure.axes if axes.get_visible()]) == MAX_PANELS
    four = plot_intervals(many[many["column"] < "column 4"], "d", "base")
    assert len([axes for axes in four.axes if axes.get_visible()]) == 4
