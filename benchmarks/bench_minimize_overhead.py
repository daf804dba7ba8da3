"""Time that a method spends on its own for each evaluation of the user's function.

Run ``python -m benchmarks.bench_minimize_overhead``. Everything is counted but the time within the
function itself. Runs are interleaved, medians reported, ratios of medians in one run are what
counts. At the end stands the memory that 25 iterations with a million variables took at most, that of the
function included, in arrays of a million numbers. It writes ``benchmarks/results/minimize_overhead.json``. OpenBLAS has one thread unless
``OPENBLAS_NUM_THREADS`` says otherwise.
"""

import json
import os
import time
import tracemalloc
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more slow small problems down, most L-BFGS-B
import numpy as np
import scipy
from scipy.optimize import minimize

from rprop import minimize_rprop, rprop_init, rprop_step

RESULT = Path(__file__).parent / "results" / "minimize_overhead.json"
SIZES, ROUNDS = (2, 10, 100, 1000, 10_000, 100_000, 1_000_000), 9
ON = {"gtol": 0, "xtol": 0, "ftol": 0}
METHODS = {
    "rprop": (minimize_rprop, {"maxiter": 100, **ON}),
    "rprop axes": (minimize_rprop, {"maxiter": 300, "variant": "irprop+", **ON}),
    "L-BFGS-B": ("L-BFGS-B", {"maxiter": 200, "ftol": 0, "gtol": 0}),
    "BFGS": ("BFGS", {"maxiter": 60, "gtol": 0}),
}


class Timed:
    """A convex function with coupled coordinates that knows how long it took."""

    def __init__(self, n):
        self.weights, self.seconds, self.count = np.logspace(0, 4, n), 0.0, 0

    def __call__(self, x):
        """Return loss and gradient."""
        start = time.perf_counter()
        away, gaps = x - 1, np.diff(x)
        pull = self.weights * away
        gradient = 4 * pull * away * away + pull
        gradient[1:] += gaps
        gradient[:-1] -= gaps
        loss = float(pull @ away**3 + pull @ away / 2 + gaps @ gaps / 2)
        self.count += 1
        self.seconds += time.perf_counter() - start
        return loss, gradient


def bare(n):
    """Return seconds of a step of the rule in place."""
    x, state = np.ones(n), rprop_init(np.ones(n))
    grads = np.random.default_rng(0).standard_normal(n)
    rprop_step(x, grads, state, out=(x, state))
    count = max(3, min(300, 10**7 // n))
    start = time.perf_counter()
    for _ in range(count):
        rprop_step(x, grads, state, out=(x, state))
    return (time.perf_counter() - start) / count


def own_time(n, method, options):
    """Return seconds per evaluation that are not the function's."""
    fun = Timed(n)
    x0 = np.random.default_rng(0).standard_normal(n)
    limit = max(20, min(options["maxiter"], 3 * 10**7 // n))
    options = {**options, "maxiter": limit}
    start = time.perf_counter()
    minimize(fun, x0, jac=True, method=method, options=options)
    return (time.perf_counter() - start - fun.seconds) / fun.count


def memory(n, method, options):
    """Return the most memory of a short run, in arrays of n numbers."""
    fun, x0 = Timed(n), np.random.default_rng(0).standard_normal(n)
    tracemalloc.start()
    minimize(fun, x0, jac=True, method=method, options={**options, "maxiter": 25})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / x0.nbytes


def main():
    """Measure, print the table, keep the JSON."""
    threads = os.environ["OPENBLAS_NUM_THREADS"]
    kept = {"numpy": np.__version__, "scipy": scipy.__version__, "threads": threads}
    kept["microseconds"] = {}
    names = [*METHODS, "bare step", "rprop / L-BFGS-B", "axes / L-BFGS-B"]
    print("| n | " + " | ".join(names) + " |\n|" + " --- |" * (1 + len(names)))
    for n in SIZES:
        chosen = {k: v for k, v in METHODS.items() if n <= 100 or k != "BFGS"}
        rounds = [
            {"bare step": bare(n)} | {k: own_time(n, *v) for k, v in chosen.items()}
            for _ in range(ROUNDS if n < 10**5 else 3)
        ]
        times = {k: 1e6 * median(r[k] for r in rounds) for k in rounds[0]}
        kept["microseconds"][n] = times
        cells = [f"{times[k]:.1f} µs" if k in times else "" for k in names[:-2]]
        cells += [f"{times[k] / times['L-BFGS-B']:.2f}" for k in ("rprop", "rprop axes")]
        print(f"| {n} | {' | '.join(cells)} |", flush=True)
    kept["arrays"] = {k: memory(SIZES[-1], *v) for k, v in METHODS.items() if k != "BFGS"}
    print("arrays: " + ", ".join(f"{k} {v:.0f}" for k, v in kept["arrays"].items()))
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
