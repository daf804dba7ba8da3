"""What is kept of every iteration, if asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from rprop.rule.state import Array
from rprop.solver.per_run import largest_magnitude
from rprop.solver.run import Run

__all__ = ["HISTORY", "History"]

#: The fields of `result.history`, and what they tell of an iteration.
HISTORY = {
    "nit": (int, "its number"),
    "nfev": (int, "evaluations so far"),
    "fun": (float, "the loss"),
    "best_fun": (float, "the lowest loss so far"),
    "grad_norm": (float, "the largest component of the gradient that could still move"),
    "delta_min": (float, "the smallest step size"),
    "delta_median": (float, "the median of the step sizes"),
    "delta_max": (float, "the largest step size"),
    "flips": (int, "how many slopes changed sign and were answered by this iteration"),
}
ROW = [(name, kind) for name, (kind, _) in HISTORY.items()]


class History:
    """The iterations of one run or of many."""

    def __init__(self, count: int, *, history: bool, return_all: bool) -> None:
        asked = {"history": history, "allvecs": return_all}
        self.kept: dict[str, list[tuple[Array, Array]]]  # of which runs, and what
        self.kept = {name: [] for name in asked if asked[name]}
        self.flips = np.zeros(count, int)  # sign changes that the next step answers

    def add(self, run: Run, nfev: Any) -> None:
        """Keep an iteration, or the start."""
        for name, parts in self.kept.items():
            part = self.line(run, nfev) if name == "history" else run.here.x
            parts.append((run.index, part))

    def line(self, run: Run, nfev: Any) -> Array:
        """Describe an iteration; flips are the sign changes that it answered."""
        delta, index = run.state.delta, run.index
        line = np.empty(index.shape, ROW)
        line["nit"], line["nfev"] = run.nit, nfev
        line["fun"], line["best_fun"] = run.here.fun, run.best.fun
        line["grad_norm"], line["flips"] = largest_magnitude(run.slope), self.flips[index]
        functions: dict[str, Any] = {"min": np.min, "median": np.median, "max": np.max}
        for name, function in functions.items():
            line[f"delta_{name}"] = function(delta, axis=-1) if delta.shape[-1] else np.nan
        self.flips[index] = np.count_nonzero(np.sign(run.along) * run.state.prev_sign < 0, axis=-1)
        return line[()]

    def fill(self, result: OptimizeResult) -> None:
        """Add what was kept to the result of one run, or to that of many as a list by runs."""
        for name, kept in self.kept.items():
            rows, parts = zip(*kept, strict=True)
            if not rows[0].ndim:
                result[name] = (
                    np.array(list(parts), ROW)
                    if name == "history"
                    else [part.copy() for part in parts]
                )
                continue
            index, values = np.concatenate(rows), np.concatenate(parts)
            order = np.argsort(index, kind="stable")
            starts = np.searchsorted(index[order], np.arange(1, len(self.flips)))
            result[name] = np.split(values[order], starts)
