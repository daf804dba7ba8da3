"""Every example on the site runs, and every figure and public name is described."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import rprop
from rprop.rule import reference

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
    if "from sklearn" in (DOCS / f"{page}.md").read_text("utf-8"):
        pytest.importorskip("sklearn")
    pyplot.switch_backend("Agg")
    names = {}
    for settings, cell in cells(page):
        pyplot.close("all")
        code = cell.replace("from IPython.display import Markdown", "Markdown = str")
        exec(compile(code, f"{page}.md", "exec"), names)  # noqa: S102
        assert not pyplot.get_fignums() or "alt:" in settings, "a figure needs a text"
    pyplot.close("all")


def test_every_public_name_is_on_the_site():
    text = "".join(p.read_text("utf-8") for p in DOCS.glob("*.md"))
    listed = set(re.findall(r"^\.\. auto\w+:: (?:rprop\.)?(\w+)", text, re.MULTILINE))
    assert set(reference.__all__) <= listed
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


def children(page):
    """Return the pages that the toctree of a page lists."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    entries = re.findall(r"^```\{toctree\}\n((?:.*\n)*?)```$", text, re.MULTILINE)
    lines = [line for entry in entries for line in entry.splitlines() if line and line[0] != ":"]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines]


def test_every_page_is_two_clicks_away():
    sections = children("index")
    assert sections == ["tutorials", "howto", "explanation", "reference"]
    pages = [page for section in sections for page in children(section)]
    assert len(pages) == len(set(pages))
    assert {"index", "404", *sections, *pages} == {page.stem for page in DOCS.glob("*.md")}
    for section in sections:
        text = (DOCS / f"{section}.md").read_text("utf-8")
        for page in children(section):
            assert f"]({page})" in text, f"{section}.md names {page} without a link"


def test_each_recipe_says_what_to_look_at_and_what_goes_wrong():
    how_to = children("howto")
    recipes = how_to[how_to.index("scales") : how_to.index("large") + 1]
    assert len(recipes) == 8
    for page in recipes:
        text = (DOCS / f"{page}.md").read_text("utf-8")
        assert "\n## What to look at in the result\n" in text, page
        assert "\n## Pitfalls\n\n- " in text, page
        assert CELL.search(text), page


def test_each_chapter_closes_with_exercises_and_answers():
    for page, chapters in {"how": 5, "variants": 1, "training": 1, "directions": 1}.items():
        text = (DOCS / f"{page}.md").read_text("utf-8")
        for part in text.split("<details><summary>Answers</summary>")[:-1]:
            assert re.search(r"^1\. .*\n(?:.*\n)*?2\. .*\n(?:.*\n)*?3\. ", part, re.MULTILINE)
        assert text.count("<details><summary>Answers</summary>") == chapters
        assert text.count("**In short.**") == chapters


def test_the_citations_agree():
    cff = (DOCS.parent / "CITATION.cff").read_text("utf-8")
    cite = (DOCS / "cite.md").read_text("utf-8")
    assert re.search(r"^version: (.*)$", cff, re.MULTILINE)[1] in cite
    dois = set(re.findall(r"doi: *\"?(10\.[^\s\"]+)", cff))
    assert dois == set(re.findall(r"doi += \{(.*)\}", cite))
    history = (DOCS / "history.md").read_text("utf-8")
    assert all(f"doi:{doi}]" in history for doi in dois)


def test_every_image_has_a_text():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for text in re.findall(r"!\[([^\]]*)\]\(", page.read_text("utf-8")):
            assert len(text) > 20, (page.name, text)
