"""The documentation site: it builds without warnings and works offline; its links are valid."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ltdm.tools.docs_config import PAGE

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


class PageParser(HTMLParser):
    """The ids of a page, the files it loads, and its links."""

    def __init__(self, page: Path):
        super().__init__()
        self.ids, self.loads, self.links = set(), set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        is_link_only = attributes.get("rel") in ("canonical", "next", "prev")
        if tag in ("script", "img", "link") and not is_link_only:
            self.loads.add(attributes.get("src") or attributes.get("href"))
        if tag == "a":
            self.links.add(attributes.get("href"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert build.returncode == 0, build.stdout + build.stderr
    return {page.name: PageParser(page) for page in folder.glob("*.html")}


def test_every_page_exists(site):
    pages = {page.with_suffix(".html").name for page in (ROOT / "docs").glob("*.md")}
    assert pages | {"index.html", "config.html", "contributing.html", "changelog.html"} <= set(site)


def test_no_page_loads_files_from_other_sites(site):
    assert {load for page in site.values() for load in page.loads if load and "//" in load} == set()


def test_every_internal_link_has_a_page_and_an_anchor(site):
    for name, page in site.items():
        for link in page.links:
            if link and not re.match(r"https?:|/|\.", link) and name != "404.html":
                target, _, anchor = link.partition("#")
                assert (target or name) in site, f"{name} links to {link}"
                assert not anchor or anchor in site[target or name].ids, f"{name} links to {link}"


def test_every_key_of_the_config_has_an_anchor(site):
    keys = re.findall(r'^\| <a id="([^"]+)"', (ROOT / PAGE).read_text(), re.MULTILINE)
    assert len(keys) == len(set(keys)) > 100
    assert set(keys) <= site["config.html"].ids
    assert {"train.lr", "sample.guidance", "cbdm.tau", "evaluate.probe.epochs"} <= set(keys)
