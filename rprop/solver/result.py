"""What a user gets: intermediate and final results, and how they are announced."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, OptimizeWarning

from rprop.rule.state import Array
from rprop.solver.messages import say, warn
from rprop.solver.run import Run
from rprop.solver.stopping import OUTCOMES

__all__ = ["announce", "describe_run", "style"]


class Result(OptimizeResult):  # type: ignore[misc]  # SciPy has no types
    """A result whose repr stays short: it tells how long lists are, not what is in them."""

    def __repr__(self) -> str:
        shown = OptimizeResult(self)
        for name in ("allvecs", "history"):
            if name in self:
                shown[name] = f"<{len(self[name])} entries>"
        if "runs" in self:
            shown.runs = f"<{len(self.runs.fun)} runs>"
        return repr(shown)


def describe_run(run: Run, unknown: Array, nfev: int, njev: int) -> OptimizeResult:
    """Describe one run by its best point."""
    status = int(run.status)
    success, message, _ = OUTCOMES[status]
    x, fun, jac = run.best
    return Result(
        x=x.copy(),
        fun=fun.item(),
        jac=np.where(unknown, np.nan, jac),
        nit=run.nit,
        nfev=nfev,
        njev=njev,
        status=status,
        success=success,
        message=message,
    )


def style(callback: Callable[..., Any] | None) -> Callable[[OptimizeResult], Any] | None:
    """Return what hands an intermediate result to `callback` in the style it asks for."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback must be callable or None; got {callback!r}")
    given: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # annotations may name what is imported for typing only
        import annotationlib

        given["annotation_format"] = annotationlib.Format.FORWARDREF
    with suppress(ValueError):  # some builtins have no signature
        if set(inspect.signature(callback, **given).parameters) == {"intermediate_result"}:
            return lambda result: callback(intermediate_result=result)
    return lambda result: callback(result.x)


def announce(result: OptimizeResult) -> None:
    """Print how a run ended, or warn that it failed."""
    if not result.success:
        warn(result.message, OptimizeWarning)
        return
    say(result.message)
    say(f"         Current function value: {result.fun:f}")
    say(f"         Iterations: {result.nit}")
    say(f"         Function evaluations: {result.nfev}")
    say(f"         Gradient evaluations: {result.njev}")
