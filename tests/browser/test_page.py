"""The page of results: opened from disk in the browser, read, switched, sorted, copied, printed."""

import shutil
import subprocess
import sys

import pytest

from ltdm.page.document import write_page
from ltdm.reporting.figure_rows import read_figure_rows
from tests.browser.conftest import accessibility_faults
from tests.helpers.made_up_results import class_counts, write_results
from tests.helpers.ugly_names import UGLY

RUNS = ("ddpm", "cbdm", "oclt")
DATASETS = ("first", "second")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The page of two data sets and three runs."""
    folder = tmp_path_factory.mktemp("results") / "demo & more"
    write_results(folder, DATASETS, RUNS)
    write_page(folder, folder / "index.html")
    return folder / "index.html"


@pytest.fixture
def page(open_page, index):
    return drawn(open_page(index))


def drawn(page):
    """Return a page when all charts are drawn."""
    page.wait_for_selector("html[data-drawn]")
    return page


def curves(page, section):
    """The number of lines in the first chart of a section."""
    return page.locator(f"#{section} .chart").first.locator(".mark-line path").count()


def test_the_page_says_what_was_asked_and_found_in_order(page):
    assert page.get_by_role("heading", level=1).text_content() == "demo & more"
    headings = page.get_by_role("heading", level=2).all_text_contents()
    assert headings == [
        "Data sets",
        "Runs",
        "Seeds",
        "Protocol, unless a run says otherwise",
        "Scores",
        "Differences from the baseline",
        "Quality by class",
        "Samples",
        "Training",
        "Quality against cost",
        "Made from",
    ]
    text = page.inner_text("main")
    size = f"{class_counts(10)['train'].sum():,} training images in 10 classes, 500 to 5 per class"
    assert size in text
    assert "config/base.yaml" in page.text_content("#origin"), "the file that sets an option"
    links = page.locator("nav a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert all(page.locator(link).count() == 1 for link in links)


def test_a_run_is_switched_off_everywhere(page):
    assert curves(page, "classes") == curves(page, "training") == 3
    page.get_by_role("checkbox", name="cbdm").uncheck()
    page.wait_for_function("document.querySelectorAll('#classes .mark-line path').length === 4")
    assert curves(page, "training") == 2
    assert page.locator("#scores tbody tr:visible").count() == 4
    assert page.locator("#samples figure:visible").count() == 2 * 3, "the real images stay"
    page.get_by_role("button", name="all", exact=True).click()
    page.wait_for_function("document.querySelectorAll('#classes .mark-line path').length === 6")
    page.get_by_role("button", name="none").click()
    assert page.locator("#scores tbody tr:visible").count() == 0


def test_a_data_set_is_switched_off_and_on_everywhere(page):
    page.get_by_role("checkbox", name="second").uncheck()
    assert page.locator("#scores tbody tr:visible").count() == 3
    charts = page.locator("#classes .chart:visible")
    assert charts.count() == 1
    width = charts.bounding_box()["width"]
    page.get_by_role("checkbox", name="second").check()
    page.wait_for_timeout(100)
    assert charts.nth(1).locator("svg").bounding_box()["width"] == pytest.approx(width, abs=20)


def test_the_baseline_has_no_interval_and_others_are_filled_if_better(page, index):
    chart = page.locator("#differences .chart").first
    names = chart.locator(".role-axis-label text").all_text_contents()
    assert [name for name in names if name in RUNS] == ["cbdm", "oclt"]
    points = chart.locator(".mark-symbol path")
    assert points.count() == 2
    fills = points.evaluate_all("points => points.map(p => p.getAttribute('fill'))")
    better = read_figure_rows(index.parent / "figures/first-intervals.csv")["better"][:2]
    assert [fill != "transparent" for fill in fills] == better.tolist()
    assert {*better} == {False, True}


@pytest.mark.parametrize("format_name", ["LaTeX", "Markdown", "CSV"])
def test_a_table_is_copied_as_it_is_in_its_file(page, index, format_name):
    suffix = {"LaTeX": "tex", "Markdown": "md", "CSV": "csv"}[format_name]
    page.locator("#scores").get_by_role("button", name=format_name).click()
    page.locator("#scores .copies [role=status]:not(:empty)").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == (index.parent / f"tables/main.{suffix}").read_text()


def test_a_point_shows_its_numbers_on_hover(page):
    page.locator("#classes .chart").first.locator(".mark-symbol path").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert {"run", "ddpm", "training images", "500"} <= {*tooltip.locator("td").all_text_contents()}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_the_page_fits_and_nothing_serious_hinders_a_reader(open_page, index, width, dark):
    page = drawn(open_page(index, width, dark))
    assert page.evaluate("document.body.scrollWidth") == width, "no sideways scrolling"
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert accessibility_faults(page) == []
    label = page.locator(".role-axis-label text").first
    shade = label.evaluate("e => getComputedStyle(e).fill")
    assert (max(map(int, shade[4:-1].split(", "))) > 128) == dark, "charts follow the theme"


def test_print_is_light_and_whole(open_page, index):
    page = drawn(open_page(index, dark=True))
    page.emulate_media(media="print")
    assert page.pdf().startswith(b"%PDF")
    label = page.locator(".role-axis-label text").first
    shade = label.evaluate("e => getComputedStyle(e).fill")
    assert max(map(int, shade[4:-1].split(", "))) < 128
    assert not page.get_by_role("button", name="LaTeX").first.is_visible()


def test_odd_names_are_text(open_page, tmp_path):
    odd = [name for name in UGLY if name.isprintable() and not {*name} & {*"/\\"}]
    runs = ["<script>alert(1)<script>", *odd[:6]]
    write_page(write_results(tmp_path / "odd", runs=runs), tmp_path / "odd/index.html")
    page = drawn(open_page(tmp_path / "odd/index.html"))
    shown = page.locator("#scores tbody tr").evaluate_all("rows => rows.map(r => r.dataset.run)")
    assert shown == runs
    names = page.locator("#differences .chart").first.locator(".role-axis-label text")
    assert {*names.all_text_contents()} >= {*runs[1:]}


def test_it_is_written_without_a_network(open_page, index, tmp_path):
    """It needs a network namespace, as the browser's sandbox does."""
    results = shutil.copytree(index.parent, tmp_path / "demo")
    (results / "index.html").unlink()
    command = ["unshare", "--net", "--map-root-user", sys.executable, "-m", "ltdm", "page", results]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    drawn(open_page(results / "index.html"))
