"""Time that a method spends on its own for each evaluation of the user's function.

Run ``python -m benchmarks.bench_minimize_overhead``. Everything is counted but the time within the
function itself. Runs are interleaved, medians reported, ratios of medians in one run are what
counts. It writes ``benchmarks/results/minimize_overhead.json``. OpenBLAS has one thread unless
``OPENBLAS_NUM_THREADS`` says otherwise.
"""

import json
import os
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more slow small problems down, most L-BFGS-B
import numpy as np
import scipy
from scipy.optimize import minimize

from rprop import minimize_rprop

RESULT = Path(__file__).parent / "results" / "minimize_overhead.json"
SIZES, ROUNDS = (2, 10, 100, 1000), 15
METHODS = {
    "rprop": (minimize_rprop, {"maxiter": 300, "gtol": 0, "xtol": 0}),
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


def own_time(n, method, options):
    """Return seconds per evaluation that are not the function's."""
    fun = Timed(n)
    x0 = np.random.default_rng(0).standard_normal(n)
    start = time.perf_counter()
    minimize(fun, x0, jac=True, method=method, options=options)
    return (time.perf_counter() - start - fun.seconds) / fun.count


def main():
    """Measure, print the table, keep the JSON."""
    threads = os.environ["OPENBLAS_NUM_THREADS"]
    kept = {"numpy": np.__version__, "scipy": scipy.__version__, "threads": threads}
    kept["microseconds"] = {}
    print("| n | " + " | ".join(METHODS) + " | rprop / L-BFGS-B |\n| --- | --- | --- | --- | --- |")
    for n in SIZES:
        chosen = {k: v for k, v in METHODS.items() if n <= 100 or k != "BFGS"}
        rounds = [{k: own_time(n, *v) for k, v in chosen.items()} for _ in range(ROUNDS)]
        times = {k: 1e6 * median(r[k] for r in rounds) for k in chosen}
        kept["microseconds"][n] = times
        cells = (f"{times[k]:.1f} µs" if k in times else "" for k in METHODS)
        print(f"| {n} | {' | '.join(cells)} | {times['rprop'] / times['L-BFGS-B']:.2f} |")
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
