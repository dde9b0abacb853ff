"""What the page says and shows, from a made-up results folder and from odd members of one."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from ltdm.config.layout import Layout
from ltdm.page import charts
from ltdm.page.document import write_page
from ltdm.page.origin import read_origin
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256, write_json
from ltdm.reporting.figure_rows import read_figure_rows
from tests.helpers.made_up_results import write_results
from tests.unit.cli.test_cli import ltdm


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("made-up") / "demo")


@pytest.fixture
def results(finished, tmp_path):
    """A copy of a made-up folder, for a test to spoil."""
    return shutil.copytree(finished, tmp_path / "demo")


def page_of(results):
    write_page(results, results / "index.html")
    return (results / "index.html").read_text()


def specs_of(page):
    """Return the charts of a page, whose JSON has no NaN, which browsers refuse."""

    def refuse(constant):
        raise ValueError(constant)

    text = re.search(r'id="specs">(.*?)</script>', page)[1]
    return json.loads(text, parse_constant=refuse)


def test_the_command_writes_one_file_that_needs_no_other(results):
    before = {file: file.read_bytes() for file in results.rglob("*") if file.is_file()}
    assert ltdm("page", results).strip() == f"wrote {results / 'index.html'}"
    page = (results / "index.html").read_text()
    own_parts = page.replace(page.split('<script type="module">')[1], "")  # without Vega
    assert not re.findall(r'(?:src|href)="(?!data:|#)', own_parts)
    assert len(page) < 2e6
    for file, content in before.items():
        assert file.read_bytes() == content, "no result changes"
    again = page_of(results)
    assert again == page, "equal results give an equal page"


def test_a_folder_without_tables_is_refused(tmp_path):
    printed = ltdm("page", tmp_path, code=1)
    assert printed.startswith(f"ltdm: {tmp_path} has no tables yet; run `snakemake` to the end")
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tables/metrics.csv", "\xff{"),
        ("figures/digits-lt-cost.csv", "run,class\nx,y\n"),
        ("data/digits-lt/data.json", "{}"),
        ("data/digits-lt/counts.csv", ""),
        ("runs/digits-lt/cbdm/seed-1/run.json", '{"versions": null}'),
        ("runs/digits-lt/cbdm/seed-0/main/samples.json", "[]"),
        ("runs/digits-lt/cbdm/seed-0/main/sample_sheet.png", ""),
        ("manifest.json", '{"versions": {}, "files": {"tables/main.csv": {}}}'),
        ("benchmarks/tables.tsv", "x\ny\n"),
    ],
)
def test_a_damaged_file_is_named(results, name, content):
    (results / name).write_text(content, encoding="latin-1")
    with pytest.raises(LtdmError, match=re.escape(name)):
        page_of(results)


@pytest.mark.parametrize("part", ["config", "origins"])
def test_a_snapshot_of_another_form_is_named(results, part):
    (results / "logs/run-0.json").write_text(json.dumps({part: 3}))
    with pytest.raises(LtdmError, match=r"run-0\.json is damaged"):
        page_of(results)


@pytest.mark.parametrize(
    "pattern",
    [
        "figures",
        "manifest.json",
        "logs",
        "benchmarks",
        "runs/*/*/*/main/sample_sheet.png",
        "tables/*.tex",
    ],
)
def test_a_page_is_made_of_what_is_there(results, pattern):
    for path in list(results.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(results)
    assert "<h2>Scores</h2>" in page
    assert ("<h2>Training</h2>" in page) == (pattern != "figures")


def test_tables_of_an_older_version_are_refused(results):
    (results / "tables/main.html").unlink()
    with pytest.raises(LtdmError, match=r"has no main\.html, as if an older ltdm"):
        page_of(results)


def test_a_page_of_many_runs_and_long_trainings_is_drawn(tmp_path):
    runs = [f"run-{k}" for k in range(60)]
    steps = np.arange(1, 3001)
    parts = [pd.DataFrame({"run": run, "step": steps, "value": 1 / steps}) for run in runs]
    rows = pd.concat(parts).assign(low=0.0, high=1.0)
    (chart,) = charts.training(rows, runs)
    (values,) = chart.spec["datasets"].values()
    assert len(values) == 60 * charts.MAX_POINTS
    assert max(row["step"] for row in values) == 3000, "the last step is shown"


def test_networks_without_scores_are_not_counted(results):
    shutil.copytree(results / "runs/digits-lt/cbdm", results / "runs/digits-lt/dropped")
    assert "4 networks" in page_of(results)


def test_scores_of_earlier_networks_are_said_to_be(results):
    name = "runs/digits-lt/cbdm/seed-0/run.json"
    for digest, is_warned in ((sha256(results / name), False), ("00", True)):
        files = {name: {"sha256": digest, "bytes": 1}}
        write_json(results / "manifest.json", {"versions": {}, "commit": "", "files": files})
        assert (f"(1 differ, such as {name})" in page_of(results)) == is_warned


def test_a_data_set_called_theory_is_none(tmp_path):
    write_results(tmp_path / "demo", datasets=("theory-lt",), seeds=(0,))
    assert "<h2>Theory</h2>" not in page_of(tmp_path / "demo")


def test_one_run_has_no_differences(tmp_path):
    write_results(tmp_path / "demo", runs=("ddpm",), seeds=(0,))
    assert "<h2>Differences" not in page_of(tmp_path / "demo")


def test_the_origin_names_versions_devices_seconds_and_digests(results):
    record = Layout(results).path("train.record", dataset="digits-lt", run="cbdm", seed=1)
    changed = json.loads(record.read_text()) | {"versions": {"torch": "2.12"}, "where": ["cuda"]}
    record.write_text(json.dumps(changed))
    networks = [*results.glob("runs/*/*/seed-*/run.json")]
    origin = read_origin(results, networks)
    assert ("torch", "2.12, 2.11") in origin.software or ("torch", "2.11, 2.12") in origin.software
    assert origin.hardware == [("cpu, 1 threads, fp32", 3), ("cuda", 1)]
    assert origin.seconds == [("tables", 1, 1.5)]
    assert origin.digests == [("tables/main.csv", "ab" * 32)]
    assert ("defaults.train.steps", "400", "config/base.yaml") in origin.config


def test_charts_have_every_run_and_filter_those_that_are_shown(results):
    specs = specs_of(page_of(results))
    by_class = next(s for s in specs if "strokeDash" in str(s) and "rank" in str(s))
    rows = next(iter(by_class["datasets"].values()))
    assert {row["run"] for row in rows} == {"ddpm", "cbdm"}
    assert by_class["params"] == [{"name": "runs", "value": ["ddpm", "cbdm"]}]
    assert str(by_class).count("indexof(runs, datum.run) >= 0") == 3


def test_the_titles_of_the_cost_say_its_unit_and_what_is_better(results):
    rows = read_figure_rows(results / "figures/digits-lt-cost.csv")
    passes, hours = charts.cost(rows, ["ddpm", "cbdm"])
    unit = ["training cost, forward passes of one image", "through ddpm's network"]
    for chart, title in ((passes, unit), (hours, ["training time, hours"])):
        encoding = chart.spec["layer"][-1]["encoding"]
        assert [*encoding["x"]["title"]] == title
        assert encoding["y"]["title"] == "frechet \u2193"
    assert passes.title == f"frechet against {' '.join(unit)}"
    (higher,) = charts.cost(rows.assign(higher_is_better=True, hours=np.nan), ["ddpm", "cbdm"])
    assert higher.spec["layer"][-1]["encoding"]["y"]["title"] == "frechet \u2191"
    (neither,) = charts.cost(rows.assign(higher_is_better=np.nan, hours=np.nan), ["ddpm", "cbdm"])
    assert neither.spec["layer"][-1]["encoding"]["y"]["title"] == "frechet"


def test_columns_without_a_better_direction_are_drawn(results):
    file = results / "figures/digits-lt-intervals.csv"
    rows = read_figure_rows(file)
    other = rows.assign(column="frechet baseline", higher_is_better=np.nan, better=False)
    pd.concat([rows, other]).to_csv(file, index=False)
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", page_of(results))
    assert "frechet baseline" in titles
    specs_of((results / "index.html").read_text())


def test_runs_look_different():
    assert len({str(charts.look_of(k)) for k in range(84)}) == 84


def test_numbers_of_figures_are_read_as_written(results):
    file = results / "figures/odd.csv"
    file.write_text("run,value,low,baseline_run\nNA,1.5,,null\n0,,2,0\n")
    rows = read_figure_rows(file)
    assert rows["run"].tolist() == ["NA", "0"]
    assert rows["baseline_run"].tolist() == ["null", "0"]
    assert rows["value"].isna().tolist() == [False, True]
