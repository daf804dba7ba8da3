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
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, OptimizeWarning

from rprop import basis
from rprop.engine import OUTCOMES, Run
from rprop.objective import Objective

Array = NDArray[Any]

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
        self.history: list[tuple[Any, ...]] | None = [] if history else None
        self.allvecs: list[Array] | None = [] if return_all else None
        self.bar = Bar(maxiter) if progress else None
        self.signs: tuple[Array, Array] | None = None

    def start(self, run: Run) -> None:
        """Record the start of a run, or where it is resumed."""
        if self.allvecs is not None:
            self.allvecs.append(run.here.x.copy())
        if self.history is not None:
            self.history.append(self.line(run))

    def iteration(self, run: Run) -> None:
        """Record an iteration and pass it on."""
        self.start(run)
        if self.bar is not None:
            self.bar.update(float(run.best.fun))
        if self.call is not None:
            self.call(self.result(run))

    def line(self, run: Run) -> tuple[Any, ...]:
        """Describe an iteration; flips are the sign changes that it answered."""
        flips = 0
        if self.signs is not None:
            flips = int(np.count_nonzero(self.signs[0] * self.signs[1] < 0))
        slope = run.slope if run.basis is None else basis.enter(run.basis, run.slope)
        self.signs = np.sign(slope), run.state.prev_sign
        delta = run.state.delta
        span = (delta.min(), np.median(delta), delta.max()) if delta.size else (np.nan,) * 3
        steepest = np.abs(run.slope).max(initial=0)
        losses = run.here.fun, run.best.fun
        return (run.nit, self.objective.nfev, *losses, steepest, *span, flips)

    def result(self, run: Run, status: int | None = None) -> OptimizeResult:
        """Describe the run by its best point."""
        status = int(run.status) if status is None else status
        success, message = OUTCOMES[status]
        x, fun, jac, _ = run.best
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
        if self.history is not None:
            result.history = np.array(self.history, HISTORY)
        if self.allvecs is not None:
            result.allvecs = list(self.allvecs)
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
