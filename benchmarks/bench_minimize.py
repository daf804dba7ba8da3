"""Compare `minimize_rprop` with SciPy's and torch's solvers on the test problems.

    python -m benchmarks.bench_minimize [--quick] [--jobs N]

from the root of the repository. Counts joint evaluations of f and g, at most 10000 a run. A problem
is solved at τ when f - f* <= τ (f0 - f*), with f* the best value any solver found, or the
published one where that is lower. Every run is kept in ``benchmarks/results/cache``, so that an
interrupted benchmark goes on where it was; a change of the solver, its options or the problem
makes a run anew. Tables are printed, and kept with JSON and profiles in ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.problems import BOUNDED, UNCONSTRAINED, Problem
from benchmarks.report import by_family, claims, draw_profiles, ratios, table
from benchmarks.runs import (
    RESULTS,
    TAUS,
    Records,
    Solver,
    collect,
    least,
    ours,
    outcomes,
    scipys,
    torchs,
)

ON = {"gtol": 0.0, "xtol": 0.0, "ftol": 0.0, "maxiter": 11_000}  # no rule but the budget
AXES = {"variant": "irprop+"}
LONG = {"maxiter": 1_000_000}
LBFGSB = {"method": "L-BFGS-B", "ftol": 0.0, "gtol": 0.0, "maxfun": 1_000_000, "maxls": 50, **LONG}
SOLVERS = [
    #      name, how, options, takes bounds, stops by itself
    Solver("rprop", ours, ON, bounded=True),
    Solver("rprop, own stop", ours, {}, bounded=True, stops=True),
    Solver("rprop axes", ours, ON | AXES, bounded=True),
    Solver("rprop axes, own stop", ours, AXES, bounded=True, stops=True),
    Solver("BFGS", scipys, {"method": "BFGS"}, stops=True),
    Solver("BFGS tight", scipys, {"method": "BFGS", "gtol": 0.0, **LONG}),
    Solver("L-BFGS-B", scipys, {"method": "L-BFGS-B", **LONG}, bounded=True, stops=True),
    Solver("L-BFGS-B tight", scipys, LBFGSB, bounded=True),
    Solver("CG tight", scipys, {"method": "CG", "gtol": 0.0, **LONG}),
    Solver(
        "TNC tight",
        scipys,
        {"method": "TNC", "ftol": 0.0, "xtol": 0.0, "gtol": 0.0, "maxfun": 1_000_000},
        bounded=True,
    ),
    Solver("torch Rprop", torchs, {"method": "Rprop", "lr": 0.01}),
    Solver("torch Adam .1", torchs, {"method": "Adam", "lr": 0.1}),
]


def everything() -> list[Problem]:
    """Return all problems."""
    return [*UNCONSTRAINED, *BOUNDED]


def main() -> None:
    """Run what is not cached, then report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a third of the problems, 1000 evals")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--budget", type=int, default=10_000, help="evaluations of a run")
    parser.add_argument("--only", default="", help="run only solvers whose name contains this")
    parser.add_argument("--without", help="leave out solvers whose name contains this: torch's, as in"
                        " what is kept, which take hours")  # fmt: skip
    args = parser.parse_args()
    budget = min(args.budget, 1000) if args.quick else args.budget
    chosen = everything()[:: 3 if args.quick else 1]
    names = {p.name for p in chosen}
    solvers = [s for s in SOLVERS if args.without is None or args.without not in s.name]
    records = collect(
        solvers,
        everything,
        budget,
        chosen=lambda solver, p: args.only in solver.name and p.name in names,
        jobs=args.jobs,
    )
    lacking = {
        solver.name
        for solver in solvers
        for p in chosen
        if solver.name in records and p.name not in records[solver.name]
        if solver.bounded or p.bounds is None
    }
    if lacking:
        print(f"not reported yet, for want of runs of: {', '.join(sorted(lacking))}")
        return
    report(chosen, records, RESULTS / ("quick" if args.quick else "full"), budget)


def report(chosen: list[Problem], records: Records, folder: Path, budget: int) -> None:
    """Print the tables; write them, the JSON and the profiles."""
    folder.mkdir(parents=True, exist_ok=True)
    text: list[str] = []
    kept: dict[str, Any] = {"budget": budget, "taus": TAUS, "problems": {}}
    groups = {"unconstrained": UNCONSTRAINED, "bounded": BOUNDED}
    for group, members in groups.items():
        problems = [p for p in chosen if p in members]
        f_stars = {
            p.name: least(p, [r[p.name] for r in records.values() if p.name in r]) for p in problems
        }
        judged = outcomes(problems, records, f_stars)
        for p in problems:
            kept["problems"][p.name] = {
                "n": p.n,
                "family": p.family,
                "split": p.split,
                "f_star": f_stars[p.name],
                "evals": {solver: runs[p.name].evals for solver, runs in judged.items()},
            }
        for split in "all", "tune", "report":
            names = [p.name for p in problems if split in ("all", p.split)]
            text.append(f"{group}, {split}: {len(names)} problems\n{table(judged, names, TAUS)}")
        rival = "BFGS tight" if group == "unconstrained" else "L-BFGS-B tight"
        names = [p.name for p in problems if p.split == "report"]
        text.append(f"{group}, report: {ratios(judged, names, rival, TAUS.index(1e-5))}")
        stopping = [s.name for s in SOLVERS if s.stops and s.name in judged]
        text.append(f"{group}: own stopping rules\n{claims(judged, stopping, TAUS.index(1e-5))}")
        text.append(f"{group}: solved at 1e-5 by family\n{by_family(judged, problems, 2)}")
        draw_profiles(judged, {p.name: p.n for p in problems}, folder / f"{group}.png", group)
    print("\n\n".join(text))
    (folder / "tables.txt").write_text("\n\n".join(text) + "\n")
    (folder / "results.json").write_text(json.dumps(kept) + "\n")
    print(f"\nkept in {folder}")


if __name__ == "__main__":
    main()
