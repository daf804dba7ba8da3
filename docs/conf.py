"""The site: ``sphinx-build -W --keep-going docs docs/_build/html``."""

import os
import sys
import textwrap
from html import escape
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from myst_nb.core.read import read_myst_markdown_notebook
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = str(Path(__file__).parents[1])  # the site describes this checkout, in its kernels too
sys.path.insert(0, ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])

project = "rprop"
author = "The rprop developers"
copyright = author
html_title = "rprop"
html_theme = "pydata_sphinx_theme"
html_theme_options: dict[str, Any] = {
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "external_links": [{"name": "Try it", "url": "play.html"}],
    "article_header_end": ["notebook"],
    "footer_start": ["copyright", "footer-links"],
    "footer_end": [],
}
if REPOSITORY := os.environ.get("RPROP_REPOSITORY"):  # where it lies is known to who publishes it
    html_theme_options["icon_links"] = [
        {"name": "Repository", "url": REPOSITORY, "icon": "fa-solid fa-code-branch"}
    ]
html_sidebars = {"index": [], "404": []}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["play.html"]
templates_path = ["_templates"]
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_render_markdown_format = "gfm"  # it has tables
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_merge_streams = True
numpydoc_show_class_members = False
autodoc_typehints = "none"
default_role = (
    "py:obj"  # a name in a docstring's single backticks is a link where it leads somewhere
)
copybutton_exclude = ".linenos, .gp, .go"
exclude_patterns = ["_build", "jupyter_execute"]

PUBLIC = ["rprop", "rprop.teaching.trace", "rprop.teaching.plot", "rprop.conformance"]


def undocumented(documented: set[str]) -> list[str]:
    """Return the public names that the site leaves out."""
    return [
        f"{module}.{name}"
        for module in PUBLIC
        if find_spec(module)
        for name in import_module(module).__all__
        if f"{module}.{name}" not in documented and f"rprop.{name}" not in documented
    ]


def check_public_names(_: Sphinx, env: object) -> None:
    """Warn, which fails the build, where a public name is not documented."""
    for name in undocumented(set(env.domaindata["py"]["objects"])):
        logging.getLogger(__name__).warning("%s is public but not documented", name)


def page_extras(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Add a description, and what only some pages need: live figures, the link to the notebook."""
    if tree is not None:
        first = next((" ".join(p.astext().split()) for p in tree.findall(nodes.paragraph)), "")
        words = escape(textwrap.shorten(first, 160, placeholder=" ..."), quote=True)
        context["metatags"] += f'<meta name="description" content="{words}">'
    body = context.get("body", "")
    if "data-figure=" in body or "data-signs=" in body:
        app.add_css_file("live.css")
        app.add_js_file("rprop.js")
        app.add_js_file("live.js")
    context["notebook"] = f"notebooks/{page}.ipynb" if is_notebook(page) else None


def is_notebook(page: str) -> bool:
    """Say whether a page has cells that run."""
    source = Path(__file__).parent / f"{page}.md"
    return source.exists() and "{code-cell}" in source.read_text(encoding="utf-8")


def write_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Write every page with cells as a notebook, without outputs, to download."""
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    for page in filter(is_notebook, app.env.found_docs):
        text = (Path(app.srcdir) / f"{page}.md").read_text(encoding="utf-8")
        notebook = read_myst_markdown_notebook(text)
        for cell in notebook.cells:
            cell.metadata.pop("mystnb", None)
        nbformat.write(notebook, folder / f"{page}.ipynb")


def setup(app: Sphinx) -> None:
    """Add the checks and the extras."""
    app.connect("env-check-consistency", check_public_names)
    app.connect("html-page-context", page_extras)
    app.connect("build-finished", write_notebooks)
