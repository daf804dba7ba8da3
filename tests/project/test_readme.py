"""What the README shows works, and says what the package is."""

import json
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


def test_the_figures_of_the_benchmark_are_those_that_are_kept():
    kept = README.parent / "benchmarks/results/full/results.json"
    if not kept.exists():
        pytest.skip("no benchmark is kept here")
    problems = [
        p for p in json.loads(kept.read_text())["problems"].values() if p["split"] == "report"
    ]

    def solved(name, boxed):
        group = [p for p in problems if ("BFGS tight" not in p["evals"]) == boxed]
        return sum(p["evals"][name][3] is not None for p in group), len(group)

    text = README.read_text("utf-8")
    ours, all_of = solved("rprop, own stop", False)
    bfgs, limited = solved("BFGS tight", False)[0], solved("L-BFGS-B tight", False)[0]
    assert f"Of {all_of} test problems that were not used" in text
    assert f"it solves {ours} to 1e-7, BFGS {bfgs} and L-BFGS-B {limited} with" in text
    boxed, boxes = solved("rprop, own stop", True)
    others = solved("L-BFGS-B tight", True)[0]
    assert f"With bounds it solves {boxed} of {boxes}, L-BFGS-B {others}." in text
