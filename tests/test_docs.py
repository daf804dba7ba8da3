"""Every example on the site runs, and every figure and public name is described."""

import re
from pathlib import Path

import pytest

import rprop

DOCS = Path(__file__).parents[1] / "docs"
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
    if page == "training":
        pytest.importorskip("sklearn")
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
