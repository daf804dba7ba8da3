"""What the README shows works, and says what the package is."""

import re
from pathlib import Path

import pytest
from scipy.optimize import minimize

from rprop import VARIANTS

README = Path(__file__).parents[2] / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not installed")


def test_examples_run():
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, namespace)  # noqa: S102
    assert namespace["result"].success
    assert abs(namespace["result"].x - 1).max() < 1e-4
    for method in ("BFGS", "CG", "L-BFGS-B"):  # as its comment says
        stuck = minimize(namespace["well"], [8.0, -7.0], jac=True, method=method)
        assert stuck.nfev == 1
    assert abs(namespace["params"]).max() < 1e-3


def test_variants_table():
    rows = re.findall(
        r'^\| `"(.+?)"` \| .+ \| (yes|no) \| (.+?) \|$', README.read_text("utf-8"), re.MULTILINE
    )
    assert [name for name, *_ in rows] == list(VARIANTS)
    for name, remembers, paper in rows:
        assert (remembers == "no") == VARIANTS[name].forgets
        assert VARIANTS[name].paper.startswith(paper)
