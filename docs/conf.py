"""The site: ``sphinx-build -W --keep-going docs docs/_build/html``."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

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
html_theme_options = {
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 9,
    "show_prev_next": True,
}
html_sidebars = {"**": []}
html_show_sourcelink = False
html_extra_path = ["play.html"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_render_markdown_format = "gfm"  # it has tables
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_merge_streams = True
numpydoc_show_class_members = False
autodoc_typehints = "none"
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


def setup(app: Sphinx) -> None:
    """Add the check."""
    app.connect("env-check-consistency", check_public_names)
