"""Every example on the site runs, and every figure and public name is described."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import rprop

DOCS = Path(__file__).parents[2] / "docs"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(p.stem for p in DOCS.glob("*.md") if CELL.search(p.read_text("utf-8")))


def cells(page):
    """Return (settings, code) of each cell of a page."""
    for text in CELL.findall((DOCS / f"{page}.md").read_text("utf-8")):
        parts = text.split("---\n", 2)
        yield (parts[1], parts[2]) if text.startswith("---\n") else ("", text)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(page):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    text = (DOCS / f"{page}.md").read_text("utf-8")
    for package in ("sklearn", "IPython"):
        if f"from {package}" in text:
            pytest.importorskip(package)
    pyplot.switch_backend("Agg")
    names = {}
    for settings, code in cells(page):
        pyplot.close("all")
        exec(compile(code, f"{page}.md", "exec"), names)  # noqa: S102
        assert not pyplot.get_fignums() or "alt:" in settings, "a figure needs a text"
    pyplot.close("all")


def test_every_public_name_is_on_the_site():
    text = "".join(p.read_text("utf-8") for p in DOCS.glob("*.md"))
    listed = set(re.findall(r"^\.\. auto\w+:: (?:rprop\.)?(\w+)", text, re.MULTILINE))
    assert set(rprop.__all__) <= listed


def test_links_between_pages_lead_somewhere():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([\w.]+)\)|href=\"([\w.]+)\"", page.read_text("utf-8")):
            name = "".join(target)
            assert (DOCS / name).exists() or (DOCS / f"{name}.md").exists(), (page.name, name)


def test_files_that_pages_name_exist():
    pages = [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
    for page in pages:
        text = page.read_text("utf-8")
        named = re.findall(r"\b(?:rprop|docs|examples|benchmarks|tests)/[\w/.]+\w", text)
        for name in named:
            assert (DOCS.parent / name).exists(), (page.name, name)
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
            assert (page.parent / name).exists(), (page.name, name)


def test_links_to_other_sites_are_safe_and_whole():
    for page in [*DOCS.glob("*.md"), *DOCS.glob("*.html"), DOCS.parent / "README.md"]:
        for url in re.findall(r"\bhttps?:[^\s)>\"'`]+", page.read_text("utf-8")):
            if url.startswith("http://www.w3.org/"):
                continue  # the name of a namespace
            parts = urlsplit(url)
            assert parts.scheme == "https", (page.name, url)
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), (page.name, url)


def test_every_page_is_in_the_navigation():
    index = (DOCS / "index.md").read_text("utf-8")
    for page in DOCS.glob("*.md"):
        assert page.stem == "index" or f"<{page.stem}>" in index, page.name
        assert page.stem == "index" or f"]({page.stem})" in index, page.name


def test_every_image_has_a_text():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for text in re.findall(r"!\[([^\]]*)\]\(", page.read_text("utf-8")):
            assert len(text) > 20, (page.name, text)
