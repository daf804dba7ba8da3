"""What the README shows works, and says what the package is."""

import re
from pathlib import Path

import pytest

from rprop import VARIANTS

README = Path(__file__).parents[2] / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not installed")


def test_examples_run():
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, namespace)  # noqa: S102
    assert namespace["result"].success
    assert abs(namespace["params"]).max() < 1e-3


def test_variants_table():
    rows = re.findall(
        r'^\| `"(.+?)"` \| .+ \| (yes|no) \| (.+?) \|$', README.read_text("utf-8"), re.MULTILINE
    )
    assert [name for name, *_ in rows] == list(VARIANTS)
    for name, remembers, paper in rows:
        assert (remembers == "no") == VARIANTS[name].forgets
        assert VARIANTS[name].paper.startswith(paper)
