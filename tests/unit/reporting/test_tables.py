"""Tables, their formats, and intervals of differences."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from ltdm.reporting.cells import Cell
from ltdm.reporting.compare import differences, paired_interval
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.reporting.tables import deviation_legend, difference_table, main_table
from ltdm.reporting.writing import to_csv, to_latex, to_markdown
from tests.helpers.tidy_rows import tidy

VALUES = {"c": [20.0, 20.2], "b_run": [10.0, 14.0], "a": [9.0, 9.0]}
TABLE = main_table(tidy(VALUES), ["frechet", "recall@tail"])


def cells(text):
    """The cells of a Markdown table, without its legend."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1, "columns are aligned"
    return [[c.strip() for c in line.strip("|").split("|")] for line in lines]


def test_markdown():
    text = to_markdown(TABLE)
    head, _, *body = cells(text)
    assert head == ["run", "frechet ↓", "recall (k = 3, tail) ↑"]
    assert body == [
        ["c", "20.10 ± 0.14", "**0.201 ± 0.001**"],
        ["b_run", "12.00 ± 2.83≈", "0.120 ± 0.028≈"],
        ["a", "**9.00 ± 0.00**", "0.090 ± 0.000"],
    ]
    legend = text.partition("\n\n")[2].splitlines()
    assert legend[0].strip() == "± standard deviation over 2 seeds."
    assert legend[1].strip() == "Features: pixels."
    assert legend[2].startswith(
        "≈ not significantly different from the best (bold): the 95 % interval"
    )


def test_latex():
    text = to_latex(TABLE)
    assert r"run & frechet $\uparrow$" not in text
    assert r"run & frechet $\downarrow$ & recall (k = 3, tail) $\uparrow$ \\" in text
    assert r"b\_run & 12.00 $\pm$ 2.83$^\approx$ & 0.120 $\pm$ 0.028$^\approx$ \\" in text
    assert r"a & \textbf{9.00 $\pm$ 0.00} & 0.090 $\pm$ 0.000 \\" in text
    assert r"% Features: pixels." in text, "a comment"


def test_fid_and_kid_are_names_of_inception_features_only():
    """A column uses the first extractor that has its metric."""
    ours = tidy({"a": [1.0], "b": [2.0]}).query("metric == 'frechet'")
    spaces = [ours.assign(extractor="inception"), tidy({"a": [5.0], "b": [6.0]})]
    table = main_table(pd.concat(spaces), ["frechet", "recall@tail"])
    assert list(table.cells.columns) == ["FID ↓", "recall (k = 3, tail) ↑"]
    assert [c.mean for c in table.cells["FID ↓"]] == [1, 2]
    assert "Features: inception, recall (k = 3, tail) by pixels." in table.legend
    labelled = ours.assign(extractor="inception", metric="small.kid")
    assert list(main_table(labelled, ["small.kid"]).cells.columns) == ["small.KID ↓"]


def test_headings_show_the_k_of_precision_and_recall(tmp_path):
    """That of the rows, or else its default of 3; other metrics' options are not shown."""
    rows = tidy({"a": [1.0], "b": [2.0]}).assign(group="all", baseline=0.5)
    rows.loc[rows["metric"] == "frechet", "options"] = "k=9"
    other = rows[rows["metric"] == "recall"].assign(metric="pr5.recall", options="k=5")
    write_rows(pd.concat([rows, other, other.assign(group="tail")]), tmp_path / "rows.csv")
    rows = read_rows(tmp_path / "rows.csv")
    names = ["frechet", "recall", "pr5.recall", "pr5.recall@tail", "recall:baseline"]
    headings = ["frechet ↓", "recall (k = 3) ↑", "pr5.recall (k = 5) ↑"]
    headings += ["pr5.recall (k = 5, tail) ↑", "recall baseline (k = 3)"]
    table = main_table(rows, names)
    assert cells(to_markdown(table))[0] == ["run", *headings]
    assert r" & pr5.recall (k = 5, tail) $\uparrow$ & " in to_latex(table)
    assert next(csv.reader(io.StringIO(to_csv(table))))[5] == "recall (k = 3) ↑"
    assert list(difference_table(rows, names, "a").cells.columns) == headings
    older = rows.assign(options=rows["options"].replace("k=3", ""))
    assert list(main_table(older, names).cells.columns) == headings, "the default is not stated"
    nowhere = main_table(rows, ["precision@head"])
    assert list(nowhere.cells.columns) == ["precision (head) ↑"], "no rows, so no k"


def test_a_distance_that_may_be_zero_is_marked():
    """By the note of one seed, and by the interval over several."""
    rows = tidy({"a": [-3.7], "b": [5.0]}, error=1.0).query("metric == 'frechet'")
    rows.loc[rows["run"] == "a", "note"] = "few images, not above 0"
    table = main_table(rows, ["frechet"])
    text = to_markdown(table)
    assert cells(text)[2:] == [["a", "**-3.70 ± 1.00**†‡"], ["b", "5.00 ± 1.00"]]
    assert "‡ not significantly greater than 0: the 95 % interval" in text
    assert r"-3.70 $\pm$ 1.00}$^\dagger$$^\ddagger$" in to_latex(table)
    assert "‡" not in to_markdown(TABLE), "the legend is there only where the mark is"
    seeds = {"near": [-0.1, 0.3, 0.1], "far": [0.5, 0.6, 0.55], "unnoted": [-0.1, 0.3, 0.1]}
    rows = tidy(seeds).query("metric == 'frechet'")
    rows.loc[rows["run"].isin(["near", "far"]) & (rows["seed"] == 0), "note"] = "not above 0"
    marks = [c.not_above_zero for c in main_table(rows, ["frechet"]).cells["frechet ↓"]]
    assert marks == [True, False, False]


def test_a_baseline_is_a_column_of_its_own():
    rows = tidy({"a": [0.5, 0.7], "b": [0.1, 0.3]}).query("metric == 'frechet'")
    rows = rows.assign(metric="mirrored.memorized-0.15", baseline=0.25)
    names = ["mirrored.memorized-0.15", "mirrored.memorized-0.15:baseline"]
    table = main_table(rows, names)
    assert list(table.cells.columns) == [f"{names[0]} ↓", "mirrored.memorized-0.15 baseline"]
    shown = table.cells.iloc[:, 1]
    assert [(c.mean, c.best, c.not_significant) for c in shown] == [(0.25, False, False)] * 2
    grouped = main_table(rows.assign(group="tail"), ["mirrored.memorized-0.15@tail:baseline"])
    assert list(grouped.cells.columns) == ["mirrored.memorized-0.15 baseline (tail)"]


def test_an_interval_by_hand():
    frames = [
        pd.DataFrame({"value": v, "error": [0.3] * len(v)})
        for v in ([3.0, 5.0, 4.5], [1.0, 2.0, 3.0])
    ]
    found = paired_interval(*frames)
    differences = np.array([2.0, 3.0, 1.5])
    half = 4.302653 * differences.std(ddof=1) / np.sqrt(3)  # Student's, two degrees of freedom
    mean = differences.mean()
    assert found == pytest.approx((mean, mean - half, mean + half, 3), rel=1e-6)
    one_seed = paired_interval(*(frame[:1] for frame in frames))
    assert one_seed == pytest.approx(
        (2.0, 2 - 1.959964 * 0.3 * 2**0.5, 2 + 1.959964 * 0.3 * 2**0.5, 1)
    )
    assert paired_interval(frames[0][:1], frames[1][1:]).seeds == 0, "no seed in both"


def test_an_interval_covers_the_true_difference_at_its_confidence():
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0, 2.0, size=(400, 2, 3))
    covered = []
    for pair in draws:
        frames = (pd.DataFrame({"value": v, "error": np.nan}) for v in pair)
        covered.append(not paired_interval(*frames).significant)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)


def test_differences_from_a_baseline():
    rows = tidy({"a": [9.0, 9.0], "b": [10.0, 10.2], "c": [8.0, 12.0]})
    text = to_markdown(difference_table(rows, ["frechet", "recall@tail"], "a"))
    assert cells(text)[2:] == [
        ["b", "+1.10 [-0.17, +2.37]", "+0.011 [-0.002, +0.024]"],
        ["c", "+1.00 [-24.41, +26.41]", "+0.010 [-0.244, +0.264]"],
    ]
    assert "Difference from a and its 95 % interval over 2 seeds" in text
    clear_rows = rows.assign(
        value=rows["value"].where(rows["run"] != "b", 2 * rows["value"] // 2 - 8)
    )
    body = cells(to_markdown(difference_table(clear_rows, ["frechet"], "a")))[2:]
    assert body[0][1].startswith("**-"), "lower is better, and the interval excludes 0"
    all_differences = differences(rows, "a")
    records = all_differences[["run", "metric", "seeds"]].to_numpy().tolist()
    assert records == [[run, metric, 2] for metric in ("frechet", "recall") for run in "bc"]
    assert all_differences["difference"].iloc[0] == pytest.approx(1.1)


def test_without_an_error_nothing_is_significant():
    """Recall has no standard error, so with one seed no difference is significant."""
    table = main_table(tidy({"a": [3.0], "b": [3.5]}), ["recall@tail"])
    assert [row[1] for row in cells(to_markdown(table))[2:]] == ["0.030≈", "**0.035**"]
    no_baseline = difference_table(tidy({"a": [3.0], "b": [3.5]}), ["frechet"], "c")
    assert no_baseline.legend == ["No run to compare with c, or it is not among these runs."]


@pytest.mark.parametrize(
    ("value", "deviation", "text"),
    [
        (123.456, 7.0, "123.5 ± 7.0"),
        (12.3456, 0.5, "12.35 ± 0.50"),
        (0.5, 0.01, "0.500 ± 0.010"),
        (0.00321, 0.0003, "0.00321 ± 0.00030"),
        (0.0, 0.002, "0.00000 ± 0.00200"),
        (0.0, 0.0, "0.000 ± 0.000"),
    ],
)
def test_small_values_keep_their_digits(value, deviation, text):
    assert Cell(value, deviation, 2).to_text() == text


def test_names_of_runs_may_look_like_numbers(tmp_path):
    rows = tidy({"0.1": [1.0], "0.10": [2.0], "null": [3.0]})
    write_rows(rows, tmp_path / "rows.csv")
    assert read_rows(tmp_path / "rows.csv")["run"].unique().tolist() == ["0.1", "0.10", "null"]


def test_with_one_seed_the_error_is_over_images():
    table = main_table(tidy({"a": [3.0], "b": [3.5], "c": [9.0]}, error=0.4), ["frechet"])
    shown = [row[1] for row in cells(to_markdown(table))[2:]]
    assert shown == ["**3.00 ± 0.40**", "3.50 ± 0.40≈", "9.00 ± 0.40"]
    assert table.legend[0].startswith("± standard error over generated images")


def test_csv_holds_numbers():
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert float(rows[1]["frechet ↓"]) == 12
    assert float(rows[1]["frechet ↓ sd"]) == pytest.approx(np.std([10, 14], ddof=1), rel=1e-5)
    assert rows[1]["frechet ↓ seeds"] == "2"


def test_one_seed_has_no_deviation_and_one_run_no_best():
    table = main_table(tidy({"a": [3.0]}), ["frechet"])
    assert to_markdown(table).splitlines()[2].split("|")[2].strip() == "3.00"


def test_each_data_set_has_its_best_and_is_named():
    both = pd.concat([tidy(VALUES), tidy({"a": [5.0], "c": [1.0]}, dataset="e")])
    table = main_table(both, ["frechet"])
    assert table.cells.index.names == ["dataset", "run"]
    assert [i for i, c in table.cells["frechet ↓"].items() if c.best] == [("d", "a"), ("e", "c")]
    assert [i[1] for i in table.cells.index] == ["c", "b_run", "a", "a", "c"]


def test_a_missing_value_is_a_dash():
    table = main_table(tidy({"a": [np.nan], "b": [1.0]}), ["frechet"])
    assert "| -" in to_markdown(table).splitlines()[2].replace("  ", "")


def test_settings_that_differ_between_rows_are_in_the_index():
    both = pd.concat([tidy({"a": [1.0]}), tidy({"b": [2.0]}, guidance=1.5)])
    table = main_table(both, ["frechet"])
    assert table.cells.index.names == ["run", "guidance"]
    assert [i[1] for i in table.cells.index] == [0.5, 1.5]


def test_values_from_few_images_are_marked_and_explained():
    few = main_table(tidy(VALUES, note="class-3, few images"), ["recall@tail"])
    assert to_markdown(few).count("\u2020") == 3 + 1
    assert to_latex(few).count(r"$^\dagger$") == 3 + 1
    assert r"% $^\dagger$ based on few images" in to_latex(few), "a comment"
    assert "\u2020" not in to_markdown(TABLE)
    too_few = main_table(tidy(VALUES, note="too few images"), ["recall@tail"])
    assert "\u2020" not in to_markdown(too_few), "another note"


def test_a_column_that_a_data_set_lacks_is_a_dash():
    rows = pd.concat(
        [tidy({"a": [1.0]}), tidy({"a": [1.0]}, dataset="e").query("metric != 'recall'")]
    )
    table = main_table(rows, ["recall@tail"])
    assert [c.to_text() for c in table.cells["recall (k = 3, tail) \u2191"]] == ["0.010", "-"]


def test_legend_of_one_seed_beside_several():
    legend = deviation_legend([Cell(1.0, 0.1, seeds) for seeds in (3, 1)])
    assert legend.endswith("over 3 seeds; with one seed, standard error over generated images.")
