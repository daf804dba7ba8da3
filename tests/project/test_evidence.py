"""What the page on problems of others says, held against the results that are kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.project.test_docs import cells

report = pytest.importorskip("benchmarks.report", reason="the benchmarks are not installed")

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/evidence.md").read_text("utf-8")
FOLDER = ROOT / "benchmarks/results/suites"


@pytest.fixture(scope="module")
def kept():
    return json.loads((FOLDER / "results.json").read_text("utf-8"))


def outcomes(of_set):
    """Return what the benchmark judged, by solver and problem."""
    found = {}
    for name, problem in of_set["problems"].items():
        for solver, run in problem["runs"].items():
            outcome = report.Outcome(run["evals"], run["success"], "")
            found.setdefault(solver, {})[name] = outcome
    return found


def test_kept_tables_are_those_of_the_kept_runs(kept):
    tables = (FOLDER / "tables.txt").read_text("utf-8")
    for of_set in kept["sets"].values():
        judged, names = outcomes(of_set), list(of_set["problems"])
        for line in report.table(judged, names, kept["taus"]).splitlines()[1:]:
            assert line.rstrip() in tables
        assert report.ratios(judged, names, "L-BFGS-B tight", 2) in tables


@pytest.fixture(scope="module")
def page():
    """Return what the cells of the page define."""
    pytest.importorskip("IPython", reason="the page shows its tables with it")
    names = {}
    for _, code in cells("evidence"):
        exec(compile(code, "evidence.md", "exec"), names)  # noqa: S102
    return names


def test_the_page_counts_what_is_kept(page, kept):
    for of, of_set in kept["sets"].items():
        for solver, runs in outcomes(of_set).items():
            for k, tau in enumerate(kept["taus"]):
                counts = [run.evals[k] for run in runs.values() if run.evals[k] is not None]
                assert page["solved"](of, solver, tau) == len(counts)
            assert np.nanmedian(page["used"](of, solver)) == np.median(
                [run.evals[2] for run in runs.values() if run.evals[2] is not None]
            )


def test_the_ratio_is_a_geometric_mean_where_both_are_known(page):
    assert (
        page["mean_ratio"](np.array([2.0, 8, np.nan, 5]), np.array([1.0, 1, 1, np.nan])) == "4.00"
    )
