"""The page of a comparison: what differs stands first, then one table of all runs."""

import shutil

import pytest

from ltdm.comparison.writing import write_comparison
from tests.browser.conftest import accessibility_faults
from tests.helpers.made_up_results import edit_records, rescore, write_results


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The page of two results folders with other numbers of images."""
    root = tmp_path_factory.mktemp("compared")
    folders = [write_results(root / "one", classes=4)]
    folders += [shutil.copytree(folders[0], root / "two")]
    rescore(folders[1], n_generated=500)
    edit_records(
        folders[1], "data/digits-lt/extractors/*.json", lambda r: r["extractor"].update(width=8)
    )
    write_comparison([*map(str, folders)], root / "both", False)
    return root / "both/index.html"


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (400, True)])
def test_what_differs_stands_first(open_page, index, width, dark):
    page = open_page(index, width, dark)
    page.wait_for_selector("html[data-drawn]")
    headings = page.get_by_role("heading", level=2).all_text_contents()
    assert headings[:3] == ["What differs between the protocols", "Data sets", "one: Runs"]
    rows = page.locator("#compared table").first.locator("tr")
    assert [row.locator("th, td").all_text_contents() for row in rows.all()] == [
        ["Protocol", "one", "two"],
        ["digits-lt: generated images", "1,000", "500"],
        ["digits-lt: extractor pixels: options", "name pixels", "name pixels, width 8"],
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert accessibility_faults(page) == []


def test_the_table_sorts_within_each_protocol(open_page, index):
    page = open_page(index)
    page.wait_for_selector("html[data-drawn]")
    page.get_by_role("button", name="frechet ↓").click()
    runs = page.locator("#scores tr[data-run]").evaluate_all("rows => rows.map(r => r.dataset.run)")
    assert runs == ["one/cbdm", "one/ddpm", "two/cbdm", "two/ddpm"]
    assert page.locator("#scores .best").count() == 2 * 3, "three columns, two protocols"
    page.get_by_role("checkbox", name="one/cbdm").uncheck()
    assert page.locator("#scores tr[data-run]:visible").count() == 3
