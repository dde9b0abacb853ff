"""Tables as HTML: sorted by mouse and by keyboard, with odd names, light, dark and printed."""

import numpy as np
import pandas as pd
import pytest

from ltdm.reporting.tables import difference_table, main_table
from ltdm.reporting.writing import write_table
from tests.browser.conftest import accessibility_faults
from tests.helpers.tidy_rows import tidy
from tests.helpers.ugly_names import UGLY

COLUMNS = ["frechet", "recall@tail"]
RUNS = {"third": [10.0, 11.0], "first": [9.0, 9.1], "none": [np.nan] * 2, "fourth": [2e6, 3e6]}
RUNS["second"] = [9.0, 9.2]
ODD = (*UGLY, "<script>alert(1)</script>", "\u05e2\u05d1\u05e8\u05d9\u05ea (1)", "\u202eabc")


@pytest.fixture
def table(tmp_path):
    """The main table of two data sets, of which a run has no scores."""
    rows = pd.concat([tidy(RUNS, "b"), tidy({k: RUNS[k] for k in reversed(RUNS)}, "a")])
    write_table(main_table(rows, COLUMNS), tmp_path / "main")
    return tmp_path / "main.html"


def column(page, number):
    return page.locator(f"tbody tr > :nth-child({number + 1})").all_text_contents()


def runs(page):
    """The runs from top to bottom, per data set, whose order is as in the config."""
    names = column(page, 1)
    assert column(page, 0) == ["b"] * 5 + ["a"] * 5, "data sets stay together"
    return names[:5], names[5:]


@pytest.mark.parametrize("heading", ["frechet ↓", "recall (k = 3, tail) ↑"])
def test_a_click_on_a_heading_sorts_numbers(open_page, table, heading):
    page = open_page(table)
    ascending = ["first", "second", "third", "fourth"]
    best_first = ascending if "↓" in heading else ascending[::-1]
    cell = page.get_by_role("columnheader", name=heading)
    directions = ["ascending", "descending"]
    for order, direction in (
        (best_first, directions["↑" in heading]),
        (best_first[::-1], directions["↓" in heading]),
        (best_first, directions["↑" in heading]),
    ):
        cell.get_by_role("button").click()
        assert runs(page) == ([*order, "none"], [*order, "none"]), "those without a value are last"
        assert cell.get_attribute("aria-sort") == direction


def test_a_click_on_the_heading_of_names_sorts_names(open_page, table):
    page = open_page(table)
    name, score = (page.get_by_role("button", name=text) for text in ("run", "frechet"))
    score.click()
    name.click()
    assert runs(page)[0] == sorted(RUNS)
    assert page.locator("[aria-sort]").all_text_contents() == ["run"]
    name.click()
    assert runs(page)[1] == sorted(RUNS, reverse=True)


def test_the_keyboard_sorts(open_page, table):
    page = open_page(table)
    heading = page.get_by_role("columnheader", name="frechet ↓")
    for _ in range(20):
        page.keyboard.press("Tab")
        if heading.get_by_role("button").evaluate("button => button === document.activeElement"):
            break
    outline = heading.get_by_role("button").evaluate("button => getComputedStyle(button).outline")
    assert "2px" in outline, "the focus is visible"
    for key, direction in (("Enter", "ascending"), ("Space", "descending")):
        page.keyboard.press(key)
        assert heading.get_attribute("aria-sort") == direction


def test_a_cell_shows_its_numbers_on_hover(open_page, table):
    cell = open_page(table).get_by_role("cell", name="9.10 ± 0.14").first
    assert cell.get_attribute("title").startswith("9.1, ± 0.141 (standard deviation over seeds)")


@pytest.mark.parametrize("width", [1400, 400])
def test_every_name_is_shown_as_text(open_page, tmp_path, width):
    rows = tidy({name: [k, k + 1.0] for k, name in enumerate(["base", *ODD])})
    for name, made in (
        ("main", main_table(rows, COLUMNS)),
        ("vs", difference_table(rows, COLUMNS, "base")),
    ):
        write_table(made, tmp_path / name)
        page = open_page(tmp_path / f"{name}.html", width)
        expected = [*(["base"] if name == "main" else []), *ODD]
        assert column(page, 0) == [text.replace("\r", "\n") for text in expected]
        assert page.locator("tbody *:not(tr, th, td)").count() == 0, "no name is markup"
        page.get_by_role("button", name="run").click()
        assert len(column(page, 0)) == len(expected)
        names = page.locator("tbody th").first.bounding_box()["width"]
        assert names <= 0.6 * width, "names leave room for numbers"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_nothing_serious_hinders_a_reader(open_page, table, dark, width):
    page = open_page(table, width, dark)
    page.get_by_role("button", name="frechet").click()
    assert accessibility_faults(page) == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, ground[4:-1].split(", "))) < 128) == dark


def test_print_shows_every_column(open_page, tmp_path):
    groups = [f"class-{k}" for k in range(12)]
    rows = pd.concat([tidy(RUNS).assign(group=group) for group in groups])
    columns = [f"frechet@{group}" for group in groups]
    write_table(main_table(rows, columns), tmp_path / "wide")
    page = open_page(tmp_path / "wide.html", dark=True)
    page.emulate_media(media="print")
    assert page.pdf().startswith(b"%PDF")
    assert page.locator(".scroll").evaluate("e => getComputedStyle(e).overflowX") == "visible"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_click_on_a_value_shows_its_numbers_below(open_page, table):
    page = open_page(table, width=400)
    page.get_by_role("cell", name="9.10 ± 0.14").first.click()
    shown = page.get_by_role("status").text_content()
    assert shown.startswith("b, second, frechet ↓: 9.1, ± 0.141")
