"""The built site in a real browser: ``sphinx-build docs docs/_build/html`` comes first."""

import json
import re
from pathlib import Path

import pytest

from tests.browser import browser, needs_axe, needs_browser, open_page, violations  # noqa: F401

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
PAGES = sorted(
    path.stem
    for path in SITE.glob("*.html")
    if path.stem not in {"genindex", "py-modindex", "search"}
)
pytestmark = [needs_browser, pytest.mark.skipif(not PAGES, reason="the site is not built")]
# Of the theme, of myst-nb and of numpydoc's references: reported there, not to be mended here.
THEIRS = ("label-content-name-mismatch", "citation-list", "role: ['#r")


@needs_axe
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_and_fits(open_page, page, width):  # noqa: F811
    theme = "dark" if width == 390 else "light"
    shown = open_page(SITE / f"{page}.html", width=width, theme=theme)
    assert violations(shown, THEIRS) == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.get_attribute("meta[name=description]", "content")
    fits = ".pst-scrollable-table-container, .cell_output table"
    if width == 1280:
        fits += ", .cell_input pre, .highlight-python pre, .highlight-sh pre"
    wide = shown.eval_on_selector_all(
        fits,
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)",
    )
    assert [text for text in wide if text] == []  # what is hidden has none


def test_links_lead_somewhere(open_page):  # noqa: F811
    for page in PAGES:
        shown = open_page(SITE / f"{page}.html")
        links = shown.eval_on_selector_all(
            "a[href]", "links => links.map(link => link.getAttribute('href'))"
        )
        for link in links:
            target, _, anchor = link.partition("#")
            if "://" in link or not target:
                continue
            assert (SITE / target).exists(), (page, link)
            if anchor and target.endswith(".html"):
                text = (SITE / target).read_text("utf-8")
                assert f'id="{anchor}"' in text, (page, link)
        shown.close()


def test_every_page_with_cells_can_be_taken_as_a_notebook(open_page):  # noqa: F811
    shown = open_page(SITE / "how.html")
    link = shown.get_attribute(".notebook-link", "href")
    cells = json.loads((SITE / link).read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert any("rprop_trace(tape" in text for text in code)
    assert not any(cell.get("outputs") for cell in cells)


def test_the_cheat_sheet_prints_on_one_page(open_page):  # noqa: F811
    pdf = open_page(SITE / "cheatsheet.html").pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1


SOUGHT = {
    "momentum": "faq",
    "learning rate": "faq",
    "FAQ": "faq",
    "saddle": "faq",
    "mini-batch": "faq",
    "noise": "faq",
    "GPU": "faq",
    "bounds": "bounds",
    "units": "scales",
    "checkpoint": "resume",
    "finite differences": "differences",
    "many starts": "starts",
    "constraints": "bounds",
    "NaN": "failing",
    "status": "status",
    "core.json": "lesson",
}


@pytest.mark.parametrize("words", SOUGHT)
def test_the_search_finds_what_people_ask(browser, words):  # noqa: F811
    shown = browser.new_page()  # it asks for the pages' texts, which a browser denies to a file
    shown.goto(f"{(SITE / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
    shown.wait_for_selector(f"ul.search a[href^='{SOUGHT[words]}.html']", timeout=5000)
    found = shown.eval_on_selector_all(
        "ul.search > li > a", "all => all.map(a => a.getAttribute('href').split(/[#?]/)[0])"
    )
    assert f"{SOUGHT[words]}.html" in list(dict.fromkeys(found))[:4], found
    shown.close()
