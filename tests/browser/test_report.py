"""Snakemake's report, opened from disk: the main table is there after the first click."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.unit.cli.test_cli import ROOT, SMOKE, ltdm
from tests.unit.theory.test_uses import SMALL

STAGES = "theory", "prepare", "train", "sample", "features", "metrics", "tables"
CONFIG = {
    "defaults": {
        "train": {"steps": 2, "log_every": 2},
        "sample": {"sampler": {"name": "ddim", "steps": 1}, "num_images": 20},
    },
    "evaluate": {"extractors": ["pixels"], "metrics": ["frechet"], "table_columns": ["frechet"]},
    "theory": {"one": SMALL, "other": {**SMALL, "betas": [0]}},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a small experiment's tables, in a folder with an odd name."""
    folder = tmp_path_factory.mktemp("it's 50% odd")
    (folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    configs = [SMOKE, str(folder / "small.yaml")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTDM_DEVICE", "cpu")
        for stage in STAGES:
            ltdm(stage, *configs, "--results", folder / "results")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", *configs, "--report", "report.html", "--"]
    command += [f"results/smoke/tables/{name}.html" for name in ("main", "theory")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


def test_the_first_click_shows_the_main_table(open_page, report):
    page = open_page(report)
    page.get_by_role("link", name="main", exact=True).click()
    table = page.frame_locator("iframe").get_by_role("table")
    heading = table.get_by_role("columnheader", name="frechet ↓")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert sorted(table.locator("tbody th").all_text_contents()) == ["cbdm", "ddpm"]


def test_the_category_of_the_main_table_is_the_first(open_page, report):
    page = open_page(report)
    page.locator("li:has-text('Results') + li").get_by_role("link").click()
    row = page.get_by_role("row", name=re.compile("^main"))
    row.get_by_role("link").first.click()
    page.frame_locator("iframe").get_by_role("table").wait_for()


def test_the_first_page_links_to_every_table(open_page, report):
    page = open_page(report)
    links = page.locator(".document a")
    tables = ["main", "sweep, one", "sweep, other", "findings", "vs baseline"]
    assert links.all_text_contents() == tables
    page.get_by_role("link", name="Theory").click()
    rows = page.get_by_role("row").all_text_contents()
    assert rows[1:] == ["findings", "sweepone", "sweepother"]
