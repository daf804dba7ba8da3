"""Compare solvers on problems by others, on changed instances of our own, and on large ones.

    python -m benchmarks.bench_suites [--only SET ...]

from the root of the repository, on one core. Nothing was chosen by what it finds. It counts and
judges as `bench_minimize` does, with at most 1000 evaluations a run, 2000 of the large ones, and
keeps every run in the same cache. Here `minimize_rprop` ends by its own rules, at its default settings. The problems of
others need optimagic (``pip install '.[suites]'``). Tables, JSON and a profile are kept in
``benchmarks/results/suites``.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import bench_minimize
from benchmarks.problems import Problem, instances, large, others
from benchmarks.report import COLOURS, STYLES, Outcomes, claims, ratios, table
from benchmarks.runs import RESULTS, TAUS, Records, Solver, collect, least, ours, outcomes, scipys

BUDGET = defaultdict(lambda: 1000, large=2000)  # 1000 is what optimagic allows, too
FOLDER = RESULTS / "suites"
SETS: dict[str, Callable[[], list[Problem]]] = {
    **{name: partial(others.problems, name) for name in others.SETS},
    **{kind: partial(instances.problems, kind) for kind in instances.KINDS},
    "large": large.problems,
}
KNOWN = {solver.name: solver for solver in bench_minimize.SOLVERS}
LBFGSB = ["L-BFGS-B tight", "L-BFGS-B"]
RPROP = [
    Solver("rprop", ours, {}, stops=True),
    Solver("rprop axes", ours, {"basis": None}, stops=True),
]
SMALL = [*RPROP, *(KNOWN[name] for name in ("BFGS tight", "BFGS", *LBFGSB))]
LARGE = [*RPROP, *(KNOWN[name] for name in (*LBFGSB, "CG tight"))]
LARGE.append(Solver("CG", scipys, {"method": "CG", **bench_minimize.LONG}, stops=True))
#: What a user might try: two more settings of every solver, on one of the sets.
TRIED = "more_wild"
TRIES = {
    "rprop": [{"delta0": 0.1}, {"delta0": 1.0}],
    "BFGS tight": [{"c2": 0.5}, {"c2": 0.1}],
    "L-BFGS-B tight": [{"maxcor": 5}, {"maxcor": 30}],
}
RIVAL = "L-BFGS-B tight"


def tried(name: str, setting: dict[str, Any]) -> str:
    """Return the name of a solver with a setting."""
    return f"{name}, " + ", ".join(f"{key}={value}" for key, value in setting.items())


def solvers(of: str) -> list[Solver]:
    """Return what runs on a set."""
    rows = list(LARGE if of == "large" else SMALL)
    for row in SMALL if of == TRIED else []:
        for setting in TRIES.get(row.name, []):
            name = tried(row.name, setting)
            rows.append(Solver(name, row.run, row.options | setting, stops=row.stops))
    return rows


def least_values(problems: list[Problem], records: list[Records]) -> dict[str, float]:
    """Return f* of every problem: the instances of one problem share it."""
    pools = defaultdict(list)

    def pool(p: Problem) -> str:
        kind, _, name = p.name.partition("/")
        return name if kind in instances.KINDS else p.name

    for runs in (runs for of_set in records for runs in of_set.values()):
        for p in problems:
            if p.name in runs:
                pools[pool(p)].append(runs[p.name])
    return {p.name: least(p, pools[pool(p)]) for p in problems}


def keep(problems: list[Problem], judged: Outcomes, f_stars: dict[str, float]) -> dict[str, Any]:
    """Return what is kept of a set: by problem and solver, in milliseconds to 1e-5."""
    kept = {}
    for p in problems:
        runs = {}
        for solver, found in judged.items():
            outcome = found[p.name]
            seconds = outcome.seconds[TAUS.index(1e-5)]
            runs[solver] = {
                "evals": outcome.evals,
                "success": outcome.success,
                "ms": None if seconds is None else round(1e3 * seconds, 2),
            }
        kept[p.name] = {"n": p.n, "split": p.split, "f_star": f_stars[p.name], "runs": runs}
    return kept


def draw(problems: list[Problem], records: Records, f_stars: dict[str, float], path: Path) -> None:
    """Draw optimagic's own profile of our runs."""
    from optimagic import profile_plot

    described, histories = {}, {}
    for p in problems:
        described[p.name] = {
            "inputs": {"params": p.x0},
            "solution": {"value": f_stars[p.name], "params": np.full(p.n, np.nan)},
            "start_criterion": float(p.fun(p.x0)[0]),
        }
        for solver in (solver.name for solver in SMALL):
            run = records[solver][p.name]
            history = np.full(run["count"] + 1, run["f0"])  # after 0, 1, ... evaluations
            for count, value in zip(run["evals"], run["values"], strict=True):
                history[count:] = value
            histories[p.name, solver] = {
                "criterion_history": history,
                "params_history": [None] * history.size,
                "batches_history": np.arange(history.size),
                "time_history": np.arange(history.size),
            }
    axes = profile_plot(
        described,
        histories,
        normalize_runtime=True,
        y_precision=1e-5,
        backend="matplotlib",
        palette=COLOURS[: len(SMALL)],
    )
    axes.set(xscale="log", xlim=(1, max(max(line.get_xdata()) for line in axes.lines)))
    legend = axes.figure.legends[0].legend_handles
    for number, lines in enumerate(zip(axes.lines, legend, strict=False)):  # then the line at 1
        for line in lines:
            line.set(linestyle=STYLES[number % len(STYLES)], linewidth=2)
    axes.figure.set_size_inches(8, 4.5)
    axes.figure.savefig(path, dpi=120)


def main() -> None:
    """Run what is not cached, then report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS), metavar="SET")
    args = parser.parse_args()
    chosen = [name for name in args.only if name not in others.SETS or find_spec("optimagic")]
    for name in set(args.only) - set(chosen):
        print(f"left out: {name}: optimagic is not installed")
    problems = {name: SETS[name]() for name in chosen}
    records = {
        name: collect(solvers(name), lambda n=name: problems[n], BUDGET[name]) for name in chosen
    }
    report(problems, records)


def report(problems: dict[str, list[Problem]], records: dict[str, Records]) -> None:
    """Print the tables; write them, the JSON and the profile."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    every = [p for of_set in problems.values() for p in of_set]
    f_stars = least_values(every, list(records.values()))
    kept: dict[str, Any] = {"taus": TAUS, "tries": TRIES, "sets": {}}
    text = []
    for name, members in problems.items():
        judged = outcomes(members, records[name], f_stars)
        kept["sets"][name] = {
            "budget": BUDGET[name],
            "problems": keep(members, judged, f_stars),
        }
        names = [p.name for p in members]
        text.append(f"{name}: {len(names)} problems\n{table(judged, names, TAUS)}")
        text.append(ratios(judged, names, RIVAL, TAUS.index(1e-5)))
        stopping = [s.name for s in solvers(name) if s.stops]
        text.append(claims(judged, stopping, TAUS.index(1e-5)))
    print("\n\n".join(text))
    if set(problems) < set(SETS):
        print("\nnot kept, as sets are missing")
        return
    (FOLDER / "tables.txt").write_text("\n\n".join(text) + "\n")
    (FOLDER / "results.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    theirs = {name: records[name] for name in others.SETS}
    merged = {
        s.name: {key: run for runs in theirs.values() for key, run in runs[s.name].items()}
        for s in SMALL
    }
    drawn = [p for name in others.SETS for p in problems[name]]
    draw(drawn, merged, f_stars, FOLDER / "profile.png")
    print(f"\nkept in {FOLDER}")


if __name__ == "__main__":
    main()
