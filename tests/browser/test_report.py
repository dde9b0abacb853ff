"""Snakemake's report, opened from disk: the main table is there after the first click."""

import re
import subprocess
import sys

import pytest

from tests.unit.cli.test_cli import ROOT, SMOKE, ltdm

STAGES = "prepare", "train", "sample", "features", "metrics", "tables"
SMALL = """
defaults:
  train: {steps: 2, log_every: 2}
  sample: {sampler: {name: ddim, steps: 1}, num_images: 20}
evaluate: {extractors: [pixels], metrics: [frechet], table_columns: [frechet, frechet@tail]}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a small experiment's tables, in a folder with an odd name."""
    folder = tmp_path_factory.mktemp("it's 50% odd")
    (folder / "small.yaml").write_text(SMALL)
    configs = [SMOKE, str(folder / "small.yaml")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTDM_DEVICE", "cpu")
        for stage in STAGES:
            ltdm(stage, *configs, "--results", folder / "results")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", *configs, "--report", "report.html", "--"]
    command += ["results/smoke/tables/main.html"]
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
    page.get_by_role("link", name="vs baseline", exact=True)


def test_the_category_of_the_main_table_is_the_first(open_page, report):
    page = open_page(report)
    page.locator("li:has-text('Results') + li").get_by_role("link").click()
    row = page.get_by_role("row", name=re.compile("^main"))
    row.get_by_role("link").first.click()
    page.frame_locator("iframe").get_by_role("table").wait_for()
