"""`ltdm compare`: what differs is said first, and nothing is compared that cannot be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ltdm.cli.main import main
from ltdm.comparison import writing
from ltdm.config.layout import PAGE, Layout
from ltdm.page.document import write_page
from ltdm.reporting.figure_rows import read_figure_rows
from ltdm.reporting.rows import read_rows
from tests.helpers.made_up_results import edit_records, rescore, write_tables

BOTH = "results/compare-one-two"
APART = ["digits-lt (protocol 1)", "digits-lt (protocol 2)"]
DATA = "data/digits-lt/data.json"
RECORD = "runs/digits-lt/{run}/seed-{seed}/run.json"
SAMPLES = "runs/digits-lt/{run}/seed-{seed}/main/samples.json"
METRIC = "runs/digits-lt/{run}/seed-{seed}/main/metrics/frechet.json"
EXTRACTOR = "data/digits-lt/extractors/pixels.json"


@pytest.fixture(autouse=True)
def _no_page(monkeypatch):
    """Most tests are about the tables, and need no page, which takes seconds."""
    monkeypatch.setattr(writing, "write_page", lambda results, output: None)


def compare(*arguments, code=0):
    result = CliRunner().invoke(main, ["compare", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def text(file, folder=BOTH):
    return Path(folder, file).read_text(encoding="utf-8")


def table(folder=BOTH):
    return pd.read_csv(f"{folder}/tables/main.csv")


def bold(folder=BOTH):
    """The number of bold values in each column that has some."""
    lines = text("tables/main.md", folder).splitlines()
    rows = [line.split("|")[2:-1] for line in lines if line.startswith("|")]
    return [sum("**" in row[k] for row in rows) for k in range(len(rows[0]))]


def labels(folder=BOTH):
    return [*read_rows(f"{folder}/tables/metrics.csv")["dataset"].unique()]


def test_equal_results_of_two_commits_differ_in_code_alone(folders):
    edit_records(folders[1], RECORD, lambda r: r.update(code="single n: 1"))
    manifest = json.loads((folders[1] / "manifest.json").read_text())
    (folders[1] / "manifest.json").write_text(json.dumps({**manifest, "commit": "f" * 40}))
    printed = compare(*folders)
    assert "Protocol: nothing differs" in printed and "Config: nothing differs" in printed
    assert f"commit: one {'0' * 40}; two {'f' * 40}" in printed and "stage single n" not in printed
    rows = table()
    assert [*rows["run"]] == ["one/ddpm", "one/cbdm", "two/ddpm", "two/cbdm"]
    np.testing.assert_array_equal(rows.iloc[:2, 1:].to_numpy(), rows.iloc[2:, 1:].to_numpy())
    intervals = read_figure_rows(f"{BOTH}/figures/digits-lt-intervals.csv")
    same = intervals[intervals["run"] == "two/ddpm"]
    assert len(same) == 3 and (same["difference"] == 0).all() and not same["better"].any()
    assert {*intervals["baseline_run"]} == {"one/ddpm"}
    differences = pd.read_csv(f"{BOTH}/tables/vs_baseline.csv", index_col="run")
    assert [*differences.index] == ["one/cbdm", "two/ddpm", "two/cbdm"]
    assert (differences.loc["two/ddpm"].filter(regex=r"[↓↑]( low| high)?$") == 0).all()
    assert "Difference from one/ddpm and its 95 % interval" in text("tables/vs_baseline.md")


def test_costs_of_all_folders_have_the_unit_of_the_first_one_s_baseline(folders):
    network = {"name": "unet", "ch": 8, "norm_groups": 8}
    edit_records(folders[1], RECORD, lambda r: r["spec"].update(network=network))
    compare(*folders)
    cost = read_figure_rows(f"{BOTH}/figures/digits-lt-cost.csv").set_index("run")
    assert {*cost["unit_run"]} == {"one/ddpm"}
    passes = cost["forward_equivalents"]
    assert passes["one/ddpm"] == 10 * 8 * 4 > 2 * passes["two/ddpm"]
    ratios = cost["flops"] / passes
    np.testing.assert_allclose(ratios, ratios["one/ddpm"])


def test_values_of_different_protocols_are_apart_unless_asked(folders):
    rescore(folders[1], n_generated=500)
    printed = compare(*folders)
    assert "digits-lt: generated images: one 1,000; two 500" in printed
    assert "groups of their own" in printed and "groups of their own" in text("tables/main.md")
    assert labels() == APART
    assert bold()[-3:] == [2, 2, 2], "a best value per protocol"
    for label, name in zip(APART, ("one", "two"), strict=True):
        intervals = read_figure_rows(f"{BOTH}/figures/{label}-intervals.csv")
        cost = read_figure_rows(f"{BOTH}/figures/{label}-cost.csv")
        assert {*intervals["baseline_run"]} == {f"{name}/ddpm"}
        assert {*intervals["run"]} == {f"{name}/cbdm"}
        assert f"{label}: {name}/ddpm" in text("tables/vs_baseline.md")
        assert {*cost["run"]} == {f"{name}/ddpm", f"{name}/cbdm"} and cost["on_front"].any()
    printed = compare(*folders, "--across-protocols")
    assert "digits-lt: generated images: one " in printed and "stand together" in printed
    assert labels() == ["digits-lt"] and bold()[-3:] == [1, 1, 1]
    assert "Values of different protocols stand together, as asked." in text("tables/main.md")


def test_columns_that_only_some_have_are_named_and_left_out(folders):
    rows = read_rows(folders[1] / "tables/metrics.csv")
    write_tables(Layout(folders[1]), rows[rows["metric"] != "recall"], "ddpm", ["frechet"])
    compare(*folders)
    assert not any("recall" in column for column in table().columns)
    legend = text("tables/main.md")
    assert "Left out: recall (k = 3, tail) (not in two)." in legend
    rescore(folders[1], extractor="inception")
    assert "no column of the table" in compare(*folders, code=1)


def test_a_run_without_the_baseline_is_compared_with_another_of_the_first_folder(folders):
    rows = read_rows(folders[0] / "tables/metrics.csv")
    write_tables(Layout(folders[0]), rows[rows["run"] == "cbdm"], "ddpm")
    compare(*folders)
    intervals = read_figure_rows(f"{BOTH}/figures/digits-lt-intervals.csv")
    assert {*intervals["baseline_run"]} == {"one/cbdm"}


def test_options_that_differ_in_the_merged_config(folders):
    path = folders[1] / "logs/run-0.json"
    config = {"experiment": "two", "defaults": {"train": {"steps": 800, "lr": 1}}}
    path.write_text(json.dumps({"config": config}))
    printed = compare(*folders)
    assert "defaults.train.steps: one 400; two 800" in printed
    assert "defaults.train.lr: one -; two 1" in printed and "experiment: " not in printed


def test_three_folders_and_names(folders, tmp_path):
    third = shutil.copytree(folders[0], tmp_path / "other/one")
    compare(*folders, f"new={third}", "--output", "all")
    assert [run.split("/")[0] for run in table("all")["run"]] == [
        *("one", "one", "two", "two", "new", "new")
    ]
    write_page(Path("all"), Path("all", PAGE))
    page = text(PAGE, "all")
    parts = ["What differs", "Data sets", "one: Runs", "two: Runs", "new: Runs", 'id="scores"']
    assert [*map(page.index, parts)] == sorted(map(page.index, parts))
    assert page.count('data-run="new/cbdm"') == 3, "a row in both tables, and a sheet of samples"
    assert f">{third}</dd>" in page, "the path that was given"


def test_equal_names_give_way_to_the_folders_above(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for checkout in ("main", "branch"):
        shutil.copytree(made, tmp_path / checkout / "results/demo")
    compare("main/results/demo", "branch/results/demo")
    assert {run.split("/")[0] for run in table("results/compare-main-branch")["run"]} == {
        "main",
        "branch",
    }


def test_a_comparison_replaces_one_but_nothing_else(folders, tmp_path):
    compare(*folders)
    notes = tmp_path / "results/compare-one-two/notes.txt"
    notes.write_text("mine")
    rescore(folders[1], n_generated=500)
    compare(*folders)
    assert labels() == APART and notes.read_text() == "mine"
    assert not (tmp_path / "results/compare-one-two/data/digits-lt").exists(), (
        "nothing is left over"
    )
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled/a").write_text("b")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    for output in ("filled", "two", "filled/a"):
        assert "is no comparison" in compare(*folders, "--output", output, code=1)
    assert "is a comparison itself" in compare(folders[0], "results/compare-one-two", code=1)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], "only one to compare; name two or more"),
        (["one", "./one"], "is named twice"),
        (["one", "none"], "none has no tables of scores"),
        (["a=one", "a=two"], "name one yourself: NAME=one"),
        (["a/b=one", "two"], "must be letters"),
        (["<b>=one", "two"], "must be letters"),
        (["one", "odd name"], "name it yourself: NAME=odd name"),
    ],
)
def test_arguments_that_cannot_be_compared(folders, arguments, message):
    shutil.copytree(folders[0], "odd name")
    printed = compare(*arguments, code=1)
    assert message in printed and printed.count("\n") == 1
    assert not (folders[0].parent / "results").exists()


@pytest.mark.parametrize(
    "file",
    ["tables/metrics.csv", "tables/tables.json", DATA, "data/digits-lt/counts.csv", EXTRACTOR]
    + [p.format(run="cbdm", seed=1) for p in (SAMPLES, METRIC)]
    + ["manifest.json", "logs/run-0.json", "runs/digits-lt/cbdm/seed-1/history.csv"],
)
def test_damaged_files_are_named_and_nothing_is_written(folders, file):
    for content in (b"\xff{", b"[]", b"{}"):
        (folders[1] / file).write_bytes(content)
        result = CliRunner().invoke(main, ["compare", *map(str, folders)])
        if result.exit_code == 0:
            assert content == b"{}" and file in ("manifest.json", "logs/run-0.json")
            continue
        assert file.rpartition("/")[2] in result.output, result.output
        assert not (folders[0].parent / "results/compare-one-two").exists()


def test_a_page_is_titled_by_the_folder_that_is_written(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "write_page", write_page)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    compare(*folders, "--output", ".")
    assert "<title>mine · ltdm</title>" in text(PAGE, ".")


def test_columns_of_another_version_are_refused(folders):
    edit_records(folders[0], "tables/tables.json", lambda r: r.update(columns=["unheard"]))
    assert "tables.json is damaged" in compare(*folders, code=1)
    shutil.copy(folders[1] / "tables/tables.json", folders[0] / "tables")
    counts = folders[0] / "data/digits-lt/counts.csv"
    counts.write_text(counts.read_text().replace("available", "there"))
    assert "counts.csv is damaged" in compare(*folders, code=1)


def test_results_of_the_first_version_are_refused(folders):
    edit_records(folders[1], DATA, lambda r: r.update(code="0123456789abcdef"))
    assert "made by ltdm 0.1" in compare(*folders, code=1)


def test_different_data_sets_side_by_side(folders):
    for part in ("data", "runs"):
        (folders[1] / part / "digits-lt").rename(folders[1] / part / "other")
    rescore(folders[1], dataset="other")
    assert "Protocol: nothing differs" in compare(*folders)
    assert [*table()["dataset"]] == ["digits-lt"] * 2 + ["other"] * 2
    assert bold()[-3:] == [2, 2, 2]
