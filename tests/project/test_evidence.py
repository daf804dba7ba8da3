"""What the page on other problems says, held against the results that are kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from rprop import minimize_rprop
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


def test_what_the_page_says_in_short(page):
    solved, used = page["solved"], page["used"]
    rivals = ["BFGS tight", "L-BFGS-B tight"]
    for of in ("more_wild", "as given", "scaled"):
        assert all(solved(of, "rprop") > solved(of, rival) for rival in rivals), of
    for rival in ("L-BFGS-B tight", "L-BFGS-B", "CG tight", "CG"):
        assert solved("large", "rprop") > solved("large", rival)
    assert solved("cartis_roberts", "rprop") < solved("cartis_roberts", "BFGS tight")
    assert all(abs(solved("rotated", "rprop") - solved("rotated", rival)) <= 2 for rival in rivals)

    def ratio(of, solver, measure=used):
        return float(page["mean_ratio"](measure(of, solver), measure(of, "L-BFGS-B tight")))

    assert ratio("scaled", "rprop") < 0.5
    for of in ("as given", "large"):
        assert 0.9 < ratio(of, "rprop") < 1.1
    for of in ("more_wild", "cartis_roberts", "rotated"):
        assert ratio(of, "rprop") > 1.1
    for of in ("as given", "rotated", "large"):
        assert ratio(of, "rprop", page["milliseconds"]) > ratio(of, "rprop")
        assert ratio(of, "rprop", page["milliseconds"]) > 1
    behind = [of for of in page["NAMES"] if solved(of, "rprop axes") < 0.9 * solved(of, "rprop")]
    assert len(behind) >= len(page["NAMES"]) - 1


def test_what_the_page_says_of_turning_and_units(page):
    solved = page["solved"]

    def lost(solver, kind="rotated"):
        return solved("as given", solver) - solved(kind, solver)

    assert 0 < lost("rprop") - lost("BFGS tight") <= 4
    assert 1.7 < lost("rprop axes") / lost("rprop") < 2
    assert abs(lost("rprop axes", "scaled")) <= 2
    assert lost("L-BFGS-B tight", "scaled") / solved("as given", "L-BFGS-B tight") > 0.3


LOST = ["genrose-500", "hanging_chain-800"]
ON_A_GRID = {
    *("bdvalues", "bratu_2d", "bratu_2d_t", "bratu_3d", "cbratu_2d", "chemrcta", "chemrctb"),
    *("drcavty1", "drcavty2", "drcavty3", "flosp2hh", "flosp2hl", "flosp2hm", "flosp2th"),
    *("flosp2tl", "flosp2tm", "luksan21", "morebvne", "semicn2u", "semicon2"),
}


def test_the_problems_that_the_page_names_are_lost_and_won(page):
    lost, won = page["names"]("large", (False, True)), page["names"]("large", (True, False))
    for name in LOST:
        assert f"`{name}`" in lost
        assert f"`{name}`" in TEXT
    missed = page["names"]("cartis_roberts", (False, True)).split(", ")
    assert sum(name.strip("`") in ON_A_GRID for name in missed) > len(missed) / 2
    assert "`units-1000`" in won
    wells = page["names"]("as given", (True, False))
    assert "`well-2-from25`" in wells
    assert "`well-10-from25`" in wells
    for task in ("thyroid, loss 0.01", "digits raw, loss .01"):
        found = page["networks"]["evaluations"][task]
        assert None not in found["rprop"]
        assert not any(found["L-BFGS-B"])


def test_every_set_has_a_name(page, kept):
    assert set(page["NAMES"]) == set(kept["sets"])


def test_a_smaller_first_step_helps_where_the_start_says_little(kept):
    pytest.importorskip("sklearn", reason="some of the problems' data")
    from benchmarks.problems import instances

    for p in instances.problems("rotated"):
        if p.family.startswith("misra1"):
            result = minimize_rprop(p.fun, p.x0, jac=True, delta0=1e-3)
            start = p.fun(p.x0)[0]
            assert result.fun - p.f_opt <= 1e-5 * (start - p.f_opt)
            run = kept["sets"]["rotated"]["problems"][p.name]["runs"]["rprop"]
            assert run["evals"][2] is None
