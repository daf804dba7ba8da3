"""What the README shows works, and says what the package is."""

import re
from pathlib import Path

import pytest

from rprop import VARIANTS

README = Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not installed")


def test_examples_run():
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, namespace)  # noqa: S102
    assert namespace["result"].success
    assert abs(namespace["params"]).max() < 1e-3


def test_variants_and_their_papers():
    named = re.findall(r'`"(\S+?)"`\s+\(([^)]+)\)', README.read_text("utf-8"))
    assert [name for name, _ in named] == list(VARIANTS)
    for name, paper in named:
        assert VARIANTS[name].paper.startswith(paper)
