"""A real browser for the tests of pages; nothing may fail in it, and nothing may leave the machine."""

import os
import shutil
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
AXE = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm install axe-core")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a page; in the end nothing may have failed or left the machine."""
    troubles, pages = [], []

    def open_page(path, width=1200, height=900, fragment="", theme="light"):
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
        )
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda m: troubles.append(m.text) if m.type != "log" else None)
        page.on(
            "request",
            lambda r: troubles.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
        )
        page.goto(path.as_uri() + fragment)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


def violations(page, but=()):
    """Return what axe finds, in words: the rule and the element, without those with a part of `but`."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, { preload: false })")["violations"]
    lines = [f"{rule['id']}: {node['target']}" for rule in found for node in rule["nodes"]]
    return [line for line in lines if not any(part in line for part in but)]
