"""Runs of solvers on problems: counted, timed, kept, and judged."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import scipy.optimize

import rprop
from benchmarks.problems import Problem
from benchmarks.report import Outcome, Outcomes

RESULTS = Path(__file__).parent / "results"
TAUS = (1e-1, 1e-3, 1e-5, 1e-7)


class BudgetExhaustedError(Exception):
    """Ends a run that has used all its evaluations."""


class Recorder:
    """A problem's function that counts, times, keeps the best value, and stops at the budget."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self.count, self.best = 0, np.inf
        self.evals: list[int] = []
        self.values: list[float] = []
        self.seconds: list[float] = []  # of the processor, since the start
        self.begin = process_time()

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate the problem."""
        if self.count >= self.budget:
            raise BudgetExhaustedError
        self.count += 1
        f, g = self.problem.fun(x)
        now = process_time() - self.begin
        truth = float(f if self.problem.truth is None else self.problem.true(x)[0])
        if truth < self.best and self.inside(x):
            self.best = truth
            # After the first hundreds a count is kept to half a per cent, to keep the cache small.
            if len(self.evals) < 2 or self.count < 200 or self.count > 1.005 * self.evals[-2]:
                self.evals.append(self.count)
                self.values.append(truth)
                self.seconds.append(now)
            else:
                self.evals[-1] = self.count
                self.values[-1] = truth
                self.seconds[-1] = now
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
        how = self.run.__name__, sorted(self.options.items()), budget, of
        text = repr(how) + inspect.getsource(Recorder)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def own_code() -> str:
    """Return the sources that a run of `minimize_rprop` depends on."""
    folder = Path(rprop.__file__).parent
    paths = [*folder.glob("rule/*.py"), *folder.glob("solver/*.py")]
    return "".join(path.read_text() for path in sorted(paths))


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
        "seconds": [round(s, 6) for s in recorder.seconds],
        "count": recorder.count,
        "success": result is not None and bool(result.success),
        "error": error,
    }


def single_threaded() -> None:
    """Keep linear algebra, which is small here, off the other cores."""
    with suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)


KNOWN: dict[str, Problem] = {}  # in a process that works: a formula cannot be sent to one


def prepare(problems: Callable[[], Iterable[Problem]]) -> None:
    """Make a process ready to work."""
    single_threaded()
    KNOWN.update({p.name: p for p in problems()})


def work(solver: Solver, name: str, budget: int) -> tuple[Solver, dict[str, Any]]:
    """Run one task in whatever process this is."""
    return solver, solve(solver, KNOWN[name], budget)


def carry_out(
    tasks: list[tuple[Solver, str]], problems: Callable, budget: int, jobs: int
) -> Iterator[Any]:
    """Yield the record of every task as it is done."""
    if jobs == 1:
        prepare(problems)
        for task in tasks:
            yield work(*task, budget)
        return
    with ProcessPoolExecutor(jobs, initializer=prepare, initargs=(problems,)) as pool:
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


Records = dict[str, dict[str, dict[str, Any]]]  # by solver, by problem


def collect(
    solvers: Sequence[Solver],
    problems: Callable[[], Iterable[Problem]],
    budget: int,
    *,
    chosen: Callable[[Solver, Problem], bool] | None = None,
    jobs: int = 1,
) -> Records:
    """Run what is not in the cache; return the records of all solvers that can run here.

    Parameters
    ----------
    problems : callable
        Returns the problems; every process calls it.
    chosen : callable, optional
        Says of a solver and a problem whether to run what is not kept; by default all is run.
    """
    folder = RESULTS / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    given = list(problems())
    prints = {p.name: fingerprint(p) for p in given}
    paths, records = {}, {}
    for solver in solvers:
        if reason := solver.missing():
            print(f"skipped: {solver.name}: {reason}")
            continue
        paths[solver.name] = folder / f"{solver.key(budget)}.jsonl"
        records[solver.name] = load(paths[solver.name], prints)
    tasks = [  # by problem, so that what else the machine does disturbs all solvers alike
        (solver, p.name)
        for p in given
        for solver in solvers
        if solver.name in records and p.name not in records[solver.name]
        if solver.bounded or p.bounds is None
        if chosen is None or chosen(solver, p)
    ]
    for solver, record in progress(carry_out(tasks, problems, budget, jobs), len(tasks)):
        records[solver.name][record["problem"]] = record
        with paths[solver.name].open("a") as file:
            file.write(json.dumps(record) + "\n")
    return records


def least(problem: Problem, records: Iterable[dict[str, Any]]) -> float:
    """Return f*: published values count only where they are lower beyond their digits."""
    best = min((r["values"][-1] for r in records if r["values"]), default=np.inf)
    if problem.f_opt is None or np.isclose(best, problem.f_opt, rtol=1e-5, atol=0):
        return best
    return min(best, problem.f_opt)


def judge(record: dict[str, Any], f_star: float) -> Outcome:
    """Turn a record into evaluations and seconds needed at every τ, None where unsolved."""
    evals, seconds = [], []
    for tau in TAUS:
        goal = f_star + tau * (record["f0"] - f_star)
        reached = (k for k, f in enumerate(record["values"]) if f <= goal)
        at = next(reached, None)
        evals.append(None if at is None else record["evals"][at])
        seconds.append(None if at is None else record["seconds"][at])
    return Outcome(evals, record["success"], record["error"], seconds)


def outcomes(problems: Sequence[Problem], records: Records, f_stars: dict[str, float]) -> Outcomes:
    """Judge the runs of all solvers that ran on all problems."""
    return {
        solver: {p.name: judge(runs[p.name], f_stars[p.name]) for p in problems}
        for solver, runs in records.items()
        if all(p.name in runs for p in problems)
    }
