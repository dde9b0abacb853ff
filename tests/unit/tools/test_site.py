"""The documentation site: it builds without a warning, offline, and its links lead somewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ltdm.tools.docs_config import PAGE

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


class Seen(HTMLParser):
    """The ids of a page, and what it loads and links to."""

    def __init__(self, page: Path):
        super().__init__()
        self.ids, self.loads, self.links = set(), set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id"))
        if tag in ("script", "img", "link") and found.get("rel") not in (
            "canonical",
            "next",
            "prev",
        ):
            self.loads.add(found.get("src") or found.get("href"))
        if tag == "a":
            self.links.add(found.get("href"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {page.name: Seen(page) for page in folder.glob("*.html")}


def test_every_page_is_there(site):
    pages = {page.with_suffix(".html").name for page in (ROOT / "docs").glob("*.md")}
    assert pages | {"index.html", "config.html", "contributing.html", "changelog.html"} <= set(site)


def test_no_page_loads_anything_from_elsewhere(site):
    assert {load for page in site.values() for load in page.loads if load and "//" in load} == set()


def test_every_link_within_the_site_leads_to_a_page_and_a_place_on_it(site):
    for name, page in site.items():
        for link in page.links:
            if link and not re.match(r"https?:|/|\.", link) and name != "404.html":
                target, _, place = link.partition("#")
                assert (target or name) in site, f"{name} links to {link}"
                assert not place or place in site[target or name].ids, f"{name} links to {link}"


def test_every_key_of_the_config_has_an_anchor(site):
    keys = re.findall(r'^\| <a id="([^"]+)"', (ROOT / PAGE).read_text(), re.MULTILINE)
    assert len(keys) == len(set(keys)) > 100
    assert set(keys) <= site["config.html"].ids
    assert {"train.lr", "sample.guidance", "cbdm.tau", "evaluate.probe.epochs"} <= set(keys)
