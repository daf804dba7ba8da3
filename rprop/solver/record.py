"""What a user gets to see of a run: intermediate results, history, progress, the final result."""

from __future__ import annotations

import copy
import inspect
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, OptimizeWarning

from rprop.rule.state import Array
from rprop.solver import directions as basis
from rprop.solver.engine import OUTCOMES, Run
from rprop.solver.objective import Objective
from rprop.solver.per_run import largest

HISTORY = [
    ("nit", int),
    ("nfev", int),
    ("fun", float),
    ("best_fun", float),
    ("grad_norm", float),
    ("delta_min", float),
    ("delta_median", float),
    ("delta_max", float),
    ("flips", int),
]


class Path:
    """What is kept of every iteration of one run or of many, if asked for."""

    def __init__(self, count: int, *, history: bool, return_all: bool) -> None:
        self.index: list[Array] = []
        self.kept: dict[str, list[Array]] = {}
        self.kept |= {"history": []} if history else {}
        self.kept |= {"allvecs": []} if return_all else {}
        self.flips = np.zeros(count, int)  # sign changes that the next step answers

    def add(self, run: Run, nfev: Any) -> None:
        """Keep an iteration, or the start."""
        if self.kept:
            self.index.append(run.index)
        if "allvecs" in self.kept:
            self.kept["allvecs"].append(run.here.x.copy())
        if "history" in self.kept:
            self.kept["history"].append(self.line(run, nfev))

    def line(self, run: Run, nfev: Any) -> Array:
        """Describe an iteration; flips are the sign changes that it answered."""
        slope = run.slope if run.basis is None else basis.enter(run.basis, run.slope)
        delta, index = run.state.delta, run.index
        line = np.empty(index.shape, HISTORY)
        line["nit"], line["nfev"] = run.nit, nfev
        line["fun"], line["best_fun"] = run.here.fun, run.best.fun
        line["grad_norm"], line["flips"] = largest(run.slope), self.flips[index]
        functions: dict[str, Any] = {"min": np.min, "median": np.median, "max": np.max}
        for name, function in functions.items():
            line[f"delta_{name}"] = function(delta, axis=-1) if delta.shape[-1] else np.nan
        self.flips[index] = np.count_nonzero(np.sign(slope) * run.state.prev_sign < 0, axis=-1)
        return line[()]

    def fill(self, result: OptimizeResult) -> None:
        """Add what was kept to the result of one run, or to that of many as a list by runs."""
        for name, parts in self.kept.items():
            if not self.index[0].ndim:
                result[name] = np.array(parts, HISTORY) if name == "history" else list(parts)
                continue
            index, values = np.concatenate(self.index), np.concatenate(parts)
            order = np.argsort(index, kind="stable")
            starts = np.searchsorted(index[order], np.arange(1, len(self.flips)))
            result[name] = np.split(values[order], starts)


class Recorder:
    """Watches one run from the start, iteration by iteration."""

    def __init__(
        self,
        objective: Objective,
        callback: Callable[..., Any] | None,
        maxiter: float,
        *,
        history: bool,
        return_all: bool,
        progress: bool,
    ) -> None:
        self.objective = objective
        self.call = style(callback)
        self.path = Path(1, history=history, return_all=return_all)
        self.bar = Bar(maxiter) if progress else None

    def start(self, run: Run) -> None:
        """Record the start of a run, or where it is resumed."""
        self.path.add(run, self.objective.nfev)

    def iteration(self, run: Run) -> None:
        """Record an iteration and pass it on."""
        self.start(run)
        if self.bar is not None:
            self.bar.update(float(run.best.fun))
        if self.call is not None:
            self.call(self.result(run))

    def result(self, run: Run, status: int | None = None) -> OptimizeResult:
        """Describe the run by its best point."""
        status = int(run.status) if status is None else status
        success, message = OUTCOMES[status]
        x, fun, jac = run.best
        result = OptimizeResult(
            x=x.copy(),
            fun=fun.item(),
            jac=np.where(self.objective.unknown, np.nan, jac),
            nit=run.nit,
            nfev=self.objective.nfev,
            njev=self.objective.njev,
            status=status,
            success=success,
            message=message,
            state=copy.copy(run),
        )
        self.path.fill(result)
        return result

    def close(self) -> None:
        """Finish the progress bar."""
        if self.bar is not None:
            self.bar.close()


class Bar:
    """Progress on standard error: tqdm's bar, or a plain line where tqdm is not installed."""

    def __init__(self, maxiter: float) -> None:
        self.count, self.shown, self.tqdm = 0, 0.0, None
        with suppress(ImportError):
            from tqdm import tqdm

            total = None if np.isinf(maxiter) else int(maxiter)
            self.tqdm = tqdm(total=total, unit="it", leave=True)

    def update(self, loss: float) -> None:
        """Count an iteration; redraw ten times a second."""
        self.count += 1
        if self.tqdm is not None:
            self.tqdm.set_postfix(loss=f"{loss:.6g}", refresh=False)
            self.tqdm.update()
        elif time.monotonic() - self.shown > 0.1:
            self.shown = time.monotonic()
            print(f"\riteration {self.count}, loss {loss:.6g}", end="", file=sys.stderr)

    def close(self) -> None:
        """End the line."""
        if self.tqdm is not None:
            self.tqdm.close()
        else:
            print(file=sys.stderr)


def style(callback: Callable[..., Any] | None) -> Callable[[OptimizeResult], Any] | None:
    """Return what hands an intermediate result to `callback` in the style it asks for."""
    if callback is None:
        return None
    given: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # annotations may name what is imported for typing only
        import annotationlib

        given["annotation_format"] = annotationlib.Format.FORWARDREF
    with suppress(ValueError):  # some builtins have no signature
        if set(inspect.signature(callback, **given).parameters) == {"intermediate_result"}:
            return lambda result: callback(intermediate_result=result)
    return lambda result: callback(result.x)


def warn(text: str, category: type[Warning]) -> None:
    """Warn of the line that called this package, directly or through SciPy."""
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").startswith(("rprop.", "scipy.")):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, level)


def announce(result: OptimizeResult) -> None:
    """Print how a run ended, or warn that it failed."""
    if not result.success:
        warn(result.message, OptimizeWarning)
        return
    print(result.message)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit}")
    print(f"         Function evaluations: {result.nfev}")
    print(f"         Gradient evaluations: {result.njev}")
