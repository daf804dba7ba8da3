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
import hashlib
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize

import rprop
from benchmarks.problems import BOUNDED, UNCONSTRAINED, Problem
from benchmarks.report import Outcome, by_family, claims, draw_profiles, ratios, table

RESULTS = Path(__file__).parent / "results"
TAUS = (1e-1, 1e-3, 1e-5, 1e-7)
PROBLEMS = {p.name: p for p in (*UNCONSTRAINED, *BOUNDED)}


class BudgetExhaustedError(Exception):
    """Ends a run that has used all its evaluations."""


class Recorder:
    """A problem's function that counts, keeps the best value, and stops at the budget."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self.count, self.best = 0, np.inf
        self.evals: list[int] = []
        self.values: list[float] = []

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate the problem."""
        if self.count >= self.budget:
            raise BudgetExhaustedError
        self.count += 1
        f, g = self.problem.fun(x)
        truth = float(f if self.problem.truth is None else self.problem.true(x)[0])
        if truth < self.best and self.inside(x):
            self.best = truth
            # After the first hundreds a count is kept to half a per cent, to keep the cache small.
            if len(self.evals) < 2 or self.count < 200 or self.count > 1.005 * self.evals[-2]:
                self.evals.append(self.count)
                self.values.append(truth)
            else:
                self.values[-1] = truth
                self.evals[-1] = self.count
        return float(f), g

    def inside(self, x: np.ndarray) -> bool:
        """Whether a point counts: a solver that leaves the box is not credited for it."""
        if self.problem.bounds is None:
            return True
        lower, upper = self.problem.bounds
        return bool((lower <= x).all() and (x <= upper).all())


Run = Callable[..., scipy.optimize.OptimizeResult | None]


def ours(fun: Recorder, x0: np.ndarray, bounds: Any, options: dict[str, Any]) -> Any:
    """Run `minimize_rprop`."""
    return rprop.minimize_rprop(fun, x0, jac=True, bounds=bounds, **options)


def scipys(fun: Recorder, x0: np.ndarray, bounds: Any, options: dict[str, Any]) -> Any:
    """Run a method of SciPy."""
    rest = {name: value for name, value in options.items() if name != "method"}
    return scipy.optimize.minimize(
        fun, x0, jac=True, method=options["method"], bounds=bounds, options=rest
    )


def torchs(fun: Recorder, x0: np.ndarray, bounds: Any, options: dict[str, Any]) -> None:
    """Run an optimizer of torch to the end of the budget."""
    import torch

    torch.set_num_threads(1)
    assert bounds is None
    x = torch.tensor(x0, requires_grad=True)
    rest = {name: value for name, value in options.items() if name != "method"}
    optimizer = getattr(torch.optim, options["method"])([x], **rest)
    while True:
        x.grad = torch.tensor(fun(x.detach().numpy().copy())[1])
        optimizer.step()


@dataclass(frozen=True)
class Solver:
    """A row of the comparison."""

    name: str
    run: Run
    options: dict[str, Any] = field(default_factory=dict)
    bounded: bool = False
    stops: bool = False  # by its own rules, not by the budget

    def missing(self) -> str:
        """Say why it cannot run here; nothing if it can."""
        if self.run is torchs:
            try:
                version("torch")
            except PackageNotFoundError:
                return "torch is not installed"
        if self.run is ours:
            known = inspect.signature(rprop.minimize_rprop).parameters
            unknown = [name for name in self.options if name not in known]
            if unknown:
                return f"minimize_rprop has no option {', '.join(unknown)}"
        return ""

    def key(self, budget: int) -> str:
        """Return what a cached run depends on, as a short string."""
        code = {ours: own_code, torchs: lambda: "torch " + version("torch")}
        of = code.get(self.run, lambda: scipy.__version__)()
        text = repr((self.run.__name__, sorted(self.options.items()), budget, of))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def own_code() -> str:
    """Return the sources that a run of `minimize_rprop` depends on."""
    folder = Path(rprop.__file__).parent
    paths = [*folder.glob("rule/*.py"), *folder.glob("solver/*.py")]
    return "".join(path.read_text() for path in sorted(paths))


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


def fingerprint(problem: Problem) -> str:
    """Return a digest of what a solver sees of a problem."""
    f, g = problem.fun(start(problem))
    parts = [np.float64(f), g, problem.x0, *(problem.bounds or ())]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


def start(problem: Problem) -> np.ndarray:
    """Return the start, moved into the box."""
    return problem.x0 if problem.bounds is None else np.clip(problem.x0, *problem.bounds)


def solve(solver: Solver, problem: Problem, budget: int) -> dict[str, Any]:
    """Run once; return a record for the cache."""
    recorder = Recorder(problem, budget)
    bounds = None if problem.bounds is None else scipy.optimize.Bounds(*problem.bounds)
    result, error = None, ""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = solver.run(recorder, problem.x0.copy(), bounds, solver.options)
        except BudgetExhaustedError:
            pass
        except Exception as caught:  # noqa: BLE001, a solver that fails is a result too
            error = f"{type(caught).__name__}: {caught}"
    return {
        "problem": problem.name,
        "fingerprint": fingerprint(problem),
        "f0": float(problem.true(start(problem))[0]),
        "evals": recorder.evals,
        "values": recorder.values,
        "count": recorder.count,
        "success": result is not None and bool(result.success),
        "error": error,
    }


def single_threaded() -> None:
    """Keep linear algebra, which is small here, off the other cores."""
    with suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)


def work(row: int, name: str, budget: int) -> tuple[int, dict[str, Any]]:
    """Run one task in whatever process this is."""
    return row, solve(SOLVERS[row], PROBLEMS[name], budget)


def carry_out(tasks: list[tuple[int, str]], budget: int, jobs: int) -> Iterator[Any]:
    """Yield the record of every task as it is done."""
    if jobs == 1:
        single_threaded()
        for task in tasks:
            yield work(*task, budget)
        return
    with ProcessPoolExecutor(jobs, initializer=single_threaded) as pool:
        futures = [pool.submit(work, *task, budget) for task in tasks]
        for future in as_completed(futures):
            yield future.result()


def progress(items: Iterable[Any], total: int) -> Iterable[Any]:
    """Show progress with tqdm where it is installed, else with a plain line."""
    try:
        from tqdm import tqdm
    except ImportError:
        return plain_progress(items, total)
    return tqdm(items, total=total, unit="run", smoothing=0.05)


def plain_progress(items: Iterable[Any], total: int) -> Iterator[Any]:
    """Count on one line of standard error."""
    for done, item in enumerate(items, 1):
        print(f"\r{done}/{total} runs", end="\n" if done == total else "", file=sys.stderr)
        yield item


def load(path: Path, prints: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Read cached runs that are still valid, one JSON object a line."""
    found = {}
    if path.exists():
        for line in path.read_text().splitlines():
            with suppress(json.JSONDecodeError):  # cut short by an interruption
                record = json.loads(line)
                if prints.get(record["problem"]) == record["fingerprint"]:
                    found[record["problem"]] = record
    return found


def least(problem: Problem, records: Iterable[dict[str, Any]]) -> float:
    """Return f*: published values count only where they are lower beyond their digits."""
    best = min((r["values"][-1] for r in records if r["values"]), default=np.inf)
    if problem.f_opt is None or np.isclose(best, problem.f_opt, rtol=1e-5, atol=0):
        return best
    return min(best, problem.f_opt)


def judge(record: dict[str, Any], f_star: float) -> Outcome:
    """Turn a record into evaluations needed at every τ, None where unsolved."""
    evals = []
    for tau in TAUS:
        goal = f_star + tau * (record["f0"] - f_star)
        reached = (k for k, f in zip(record["evals"], record["values"], strict=True) if f <= goal)
        evals.append(next(reached, None))
    return Outcome(evals, record["success"], record["error"])


def main() -> None:
    """Run what is not cached, then report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a third of the problems, 1000 evals")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--budget", type=int, default=10_000, help="evaluations of a run")
    parser.add_argument("--only", default="", help="run only solvers whose name contains this")
    args = parser.parse_args()
    budget = min(args.budget, 1000) if args.quick else args.budget
    chosen = list(PROBLEMS.values())[:: 3 if args.quick else 1]

    folder = RESULTS / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    prints = {p.name: fingerprint(p) for p in chosen}
    paths, records, tasks = {}, {}, []
    for row, solver in enumerate(SOLVERS):
        if reason := solver.missing():
            print(f"skipped: {solver.name}: {reason}")
            continue
        paths[row] = folder / f"{solver.key(budget)}.jsonl"
        records[row] = load(paths[row], prints)
        if args.only in solver.name:
            tasks += [
                (row, p.name)
                for p in chosen
                if p.name not in records[row] and (solver.bounded or p.bounds is None)
            ]
    for row, record in progress(carry_out(tasks, budget, args.jobs), len(tasks)):
        records[row][record["problem"]] = record
        with paths[row].open("a") as file:
            file.write(json.dumps(record) + "\n")

    report(chosen, records, RESULTS / ("quick" if args.quick else "full"), budget)


def report(
    chosen: list[Problem], records: dict[int, dict[str, Any]], folder: Path, budget: int
) -> None:
    """Print the tables; write them, the JSON and the profiles."""
    folder.mkdir(parents=True, exist_ok=True)
    text: list[str] = []
    kept: dict[str, Any] = {"budget": budget, "taus": TAUS, "problems": {}}
    groups = {"unconstrained": UNCONSTRAINED, "bounded": BOUNDED}
    for group, members in groups.items():
        problems = [p for p in chosen if p in members]
        outcomes: dict[str, dict[str, Outcome]] = {}
        for p in problems:
            runs = {SOLVERS[row].name: r[p.name] for row, r in records.items() if p.name in r}
            f_star = least(p, runs.values())
            kept["problems"][p.name] = {
                "n": p.n,
                "family": p.family,
                "split": p.split,
                "f_star": f_star,
                "evals": {},
            }
            for name, record in runs.items():
                outcome = judge(record, f_star)
                outcomes.setdefault(name, {})[p.name] = outcome
                kept["problems"][p.name]["evals"][name] = outcome.evals
        outcomes = {name: o for name, o in outcomes.items() if len(o) == len(problems)}
        for split in "all", "tune", "report":
            names = [p.name for p in problems if split in ("all", p.split)]
            text.append(f"{group}, {split}: {len(names)} problems\n{table(outcomes, names, TAUS)}")
        rival = "BFGS tight" if group == "unconstrained" else "L-BFGS-B tight"
        names = [p.name for p in problems if p.split == "report"]
        text.append(f"{group}, report: {ratios(outcomes, names, rival, TAUS.index(1e-5))}")
        stopping = [s.name for s in SOLVERS if s.stops and s.name in outcomes]
        text.append(f"{group}: own stopping rules\n{claims(outcomes, stopping, TAUS.index(1e-5))}")
        text.append(f"{group}: solved at 1e-5 by family\n{by_family(outcomes, problems, 2)}")
        draw_profiles(outcomes, {p.name: p.n for p in problems}, folder / f"{group}.png", group)
    print("\n\n".join(text))
    (folder / "tables.txt").write_text("\n\n".join(text) + "\n")
    (folder / "results.json").write_text(json.dumps(kept) + "\n")
    print(f"\nkept in {folder}")


if __name__ == "__main__":
    main()
