"""What the page says and shows, from a made-up results folder and from odd members of one."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltdm.config.layout import Layout
from ltdm.page import charts
from ltdm.page.asked import protocol_lines, read_options, run_lines, usual_options
from ltdm.page.document import write_page
from ltdm.page.images import MAX_ROWS, read_sheet
from ltdm.page.origin import read_origin
from ltdm.plumbing.errors import LtdmError
from ltdm.reporting.figure_rows import read_figure_rows
from tests.helpers.made_up_results import draw_sheet, write_results
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
    return json.loads(re.search(r'id="specs">(.*?)</script>', page)[1])


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


def test_it_is_written_without_a_network(results):
    command = ["unshare", "--net", "--map-root-user", sys.executable, "-m", "ltdm", "page", results]
    done = subprocess.run(command, capture_output=True, text=True)
    if "unshare failed" in done.stderr:
        pytest.skip("this system lets no one make a network namespace")
    assert done.returncode == 0, done.stderr
    assert "vegaEmbed" in (results / "index.html").read_text()


def test_a_folder_without_tables_is_refused(tmp_path):
    printed = ltdm("page", tmp_path, code=1)
    assert printed.startswith(f"ltdm: {tmp_path} has no tables yet; run `snakemake` to the end")
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    "name",
    ["tables/metrics.csv", "figures/digits-lt-cost.csv", "data/digits-lt/data.json"],
)
def test_a_damaged_file_is_named(results, name):
    (results / name).write_bytes(b"\xff\xfe{")
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


OPTIONS = {
    "network": {"name": "unet", "ch": 24},
    "train": {"steps": 400, "augment": "none"},
    "method": {"name": "ddpm"},
}


def run_options(tmp_path, defaults=None, sample=None, **spec):
    """Read the options of a record with this spec over OPTIONS."""
    folder = tmp_path / str(len([*tmp_path.iterdir()]))
    folder.mkdir()
    record = {"spec": {**OPTIONS, **spec}, "defaults": defaults or {}}
    (folder / "run.json").write_text(json.dumps(record))
    if sample:
        record = {"spec": sample, "defaults": {"guidance": 0.0}}
        (folder / "samples.json").write_text(json.dumps(record))
    return read_options(folder / "run.json", folder / "samples.json")


def test_a_line_of_a_run_says_how_it_differs_from_most(tmp_path):
    defaults = {"network": {"dropout": 0.1}, "method": [{"tau": 1.0}]}
    small = {"network": {"name": "unet", "ch": 16, "dropout": 0.0}}
    runs = {
        "ddpm": {"d": run_options(tmp_path, defaults, {"num_images": 10})},
        "cbdm": {"d": run_options(tmp_path, defaults, {"num_images": 10}, method={"name": "cbdm"})},
        "small": {"d": run_options(tmp_path, {}, {"num_images": 10, "guidance": 1.5}, **small)},
    }
    usual = usual_options(runs)
    assert [tuple(line) for line in run_lines(runs, usual)] == [
        ("ddpm", "ddpm"),
        ("cbdm", "cbdm"),
        ("small", "ddpm; network: ch 16, dropout 0; sample: guidance 1.5"),
    ]
    assert [tuple(line) for line in protocol_lines(usual)] == [
        ("network", "unet, ch 24, dropout 0.1"),
        ("train", "augment none, steps 400"),
        ("sample", "guidance 0, num_images 10"),
    ]


def test_a_run_that_differs_between_data_sets_says_where(tmp_path):
    slow = run_options(tmp_path, train={"steps": 800, "augment": "none"})
    methods = run_options(tmp_path, method=[{"name": "cm"}, {"name": "oclt", "weight": 2}])
    runs = {"a": {"x": run_options(tmp_path), "y": slow}, "b": {"x": methods, "y": methods}}
    lines = [line.text for line in run_lines(runs, usual_options(runs))]
    assert lines == ["x: ddpm; y: ddpm; train: steps 800", "[cm, oclt (weight 2)]"]


def test_a_network_without_records_has_no_options(tmp_path):
    options = read_options(tmp_path / "none.json", tmp_path / "neither.json")
    assert (options.values, options.stated) == ({}, set())


def test_a_sheet_of_many_classes_shows_evenly_spaced_rows(tmp_path):
    classes = 45
    table = {"class": range(classes), "name": [f"c{k}" for k in range(classes)]}
    table |= {"available": 9, "train": [3 * k + 1 for k in range(classes)]}
    pd.DataFrame(table).to_csv(tmp_path / "counts.csv", index=False)
    labels = np.arange(classes).repeat(2)
    images = np.broadcast_to((labels * 5).astype(np.uint8)[:, None, None, None], (90, 3, 8, 8))
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    draw_sheet(tmp_path / "images.npz", tmp_path / "counts.csv", tmp_path / "sheet.png")
    sheet = read_sheet(tmp_path / "sheet.png")
    assert len(sheet.rows) == MAX_ROWS
    assert (sheet.rows[0], sheet.rows[-1]) == ("c44 (133)", "c0 (1)")
    with Image.open(tmp_path / "sheet.png") as picture:
        height, width = picture.height, picture.width
    row = (height + 2) // classes
    assert (sheet.width, sheet.height) == (width, MAX_ROWS * row - 2)


def test_images_without_labels_fill_one_row(tmp_path):
    table = pd.DataFrame({"class": [0, 1], "name": ["a", "b"], "available": 9, "train": [5, 2]})
    table.to_csv(tmp_path / "counts.csv", index=False)
    images, labels = np.zeros((12, 1, 8, 8), np.uint8), np.full(12, -1)
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    draw_sheet(tmp_path / "images.npz", tmp_path / "counts.csv", tmp_path / "sheet.png")
    assert read_sheet(tmp_path / "sheet.png").rows == ["no labels"]


def test_the_origin_names_versions_devices_seconds_and_digests(results):
    record = Layout(results).path("train.record", dataset="digits-lt", run="cbdm", seed=1)
    changed = json.loads(record.read_text()) | {"versions": {"torch": "2.12"}, "where": ["cuda"]}
    record.write_text(json.dumps(changed))
    origin = read_origin(results)
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


def test_a_long_training_is_thinned(finished):
    steps = np.arange(1, 5001)
    rows = pd.DataFrame({"run": "a", "step": steps, "value": 1 / steps, "low": 0, "high": 1})
    (chart,) = charts.training(rows, ["a"])
    (values,) = chart.spec["datasets"].values()
    assert len(values) == charts.MAX_POINTS


def test_runs_look_different():
    looks = [charts.look_of(k) for k in range(21)]
    assert len({*looks}) == 21


def test_numbers_of_figures_are_read_as_written(results):
    file = results / "figures/odd.csv"
    file.write_text("run,value,low,baseline_run\nNA,1.5,,null\n0,,2,0\n")
    rows = read_figure_rows(file)
    assert rows["run"].tolist() == ["NA", "0"]
    assert rows["baseline_run"].tolist() == ["null", "0"]
    assert rows["value"].isna().tolist() == [False, True]
