"""Choosing sample sets on one half of the reference, and the table of the chosen ones."""

import numpy as np
import pandas as pd
import pytest

from ltdm.reporting.rows import read_rows
from ltdm.reporting.tuned import mark_chosen, tuned_table
from ltdm.reporting.writing import to_csv, to_markdown
from ltdm.stages import tuned_tables
from tests.helpers.tidy_rows import tidy

NOTE = "reporting half"


def swept(by_weight, note="", **changes):
    """Rows of a sample set per guidance weight: `by_weight` has the values by run of each."""
    frames = [
        tidy(values, sample_set=f"w{weight}", guidance=weight, **changes)
        for weight, values in by_weight.items()
    ]
    rows = pd.concat(frames).sort_values(["run", "seed"], kind="stable", ignore_index=True)
    return rows.assign(note=note)


SCORES = swept(
    {
        0.0: {"a": [5.0, 5.0], "b": [3.0, 3.0]},
        1.0: {"a": [1.0, 6.0], "b": [4.0, 4.0]},
        2.0: {"a": [4.5, 4.5], "b": [3.0, 3.0]},
    }
)
REPORTED = swept(
    {
        0.0: {"a": [1.0, 1.0], "b": [8.0, 8.2]},
        1.0: {"a": [7.0, 7.4], "b": [2.0, 2.0]},
        2.0: {"a": [6.0, 6.0], "b": [1.0, 1.0]},
    },
    NOTE,
)


def choices(scores, column="frechet"):
    rows = mark_chosen(scores, column)
    return {(row.run, row.sample_set) for row in rows[rows["chosen"]].itertuples()}


def test_one_set_for_all_seeds_the_best_on_average_and_of_equal_ones_the_first():
    assert choices(SCORES) == {("a", "w1.0"), ("b", "w0.0")}
    assert len(mark_chosen(SCORES, "frechet").query("chosen")) == 4, "both seeds of both runs"


def test_the_direction_is_the_metric_s_and_the_group_the_column_s():
    assert choices(SCORES, "recall@tail") == {("a", "w0.0"), ("b", "w1.0")}


def test_a_set_without_a_value_of_a_seed_is_not_chosen():
    scores = SCORES.copy()
    scores.loc[(scores["sample_set"] == "w1.0") & (scores["seed"] == 1), "value"] = np.nan
    assert choices(scores) == {("a", "w2.0"), ("b", "w0.0")}


def test_data_sets_choose_for_themselves():
    other = SCORES.assign(dataset="e", value=-SCORES["value"])
    rows = mark_chosen(pd.concat([SCORES, other]), "frechet").query("chosen and run == 'a'")
    assert [*zip(rows["dataset"], rows["sample_set"], strict=True)] == [
        *[("d", "w1.0")] * 2,
        *[("e", "w0.0")] * 2,
    ]


def test_the_table_has_the_chosen_sets_against_the_other_half():
    table = tuned_table(REPORTED, mark_chosen(SCORES, "frechet"), ["frechet", "recall@tail"])
    text = to_markdown(table)
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    head = ["run", "sample_set", "guidance", "frechet ↓", "recall (k = 3, tail) ↑"]
    assert lines[0] == [*head, "frechet of the tuning half"]
    assert lines[2:4] == [
        ["a", "w1.0", "1.0", "**7.20 ± 0.28**", "0.072 ± 0.003≈", "3.50 ± 3.54"],
        ["b", "w0.0", "0.0", "8.10 ± 0.14≈", "**0.081 ± 0.001**", "3.00 ± 0.00"],
    ]
    assert "Against the reporting half of the reference.  " in text
    assert text.endswith("Sample sets, and so guidance, chosen by frechet on the other half.\n")
    assert "frechet of the tuning half seeds" in to_csv(table)


def test_a_run_without_scores_has_no_row_and_is_named():
    scores = SCORES.copy()
    scores.loc[scores["run"] == "b", "value"] = np.nan
    table = tuned_table(REPORTED, mark_chosen(scores, "frechet"), ["frechet"])
    assert table.cells.index.get_level_values("run").tolist() == ["a"]
    assert table.legend[-1] == "Without a score to choose by: b on d."
    none = mark_chosen(SCORES.assign(value=np.nan), "frechet")
    assert not none["chosen"].any()


@pytest.fixture
def files(tmp_path):
    REPORTED.to_csv(tmp_path / "metrics.csv", index=False)
    for seed, rows in SCORES.groupby("seed"):
        rows.to_csv(tmp_path / f"{seed}.csv", index=False)
    return tmp_path


def test_the_stage_writes_the_table_and_what_it_chose_by(files):
    main = files / "tuned.csv"
    tuned_tables.run(
        {"columns": ["frechet"], "extractors": ["pixels"]},
        tidy=files / "metrics.csv",
        tuning=[files / "0.csv", files / "1.csv"],
        scores=files / "tuning.csv",
        main=main,
        others=[],
    )
    scores = read_rows(files / "tuning.csv")
    assert len(scores) == 12
    assert {*scores[scores["chosen"]]["sample_set"]} == {"w1.0", "w0.0"}
    assert pd.read_csv(main)["frechet ↓"].tolist() == [7.2, 8.1]
    assert main.with_suffix(".tex").exists()
