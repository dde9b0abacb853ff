"""The system's Chromium, and pages opened in it from disk, without a network.

Without a browser the tests fail, since nobody would notice a skipped one; `make test-browser`
installs Chromium.
"""

import os
import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

BROWSERS = "chromium", "chromium-browser", "google-chrome"
REMOTE = re.compile(r"^(?!(file|data|blob):)")


@pytest.fixture(scope="session")
def browser():
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert program, "install Chromium with `make test-browser`"
    options = [] if os.geteuid() else ["--no-sandbox"]  # the sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a file in a page of its own; at the end no page has an error or wanted the network.

    `width` is in pixels; `dark` is the reader's preference. Pages may use the clipboard.
    """
    faults, contexts = [], []

    def refuse(route):
        faults.append(f"wanted {route.request.url}")
        route.abort()

    def note_message(message):
        if message.type == "error":
            faults.append(message.text)

    def note_dialog(dialog):
        faults.append(dialog.message)
        dialog.dismiss()

    def open_page(path, width=1400, dark=False):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            offline=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.route(REMOTE, refuse)
        context.on("console", note_message)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on("dialog", note_dialog)
        page = context.new_page()
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def accessibility_faults(page):
    """Return what axe-core finds serious or critical on a page, an element each."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {element['html']}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for element in violation["nodes"]
    ]
