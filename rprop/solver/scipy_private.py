"""The parts of SciPy that are not public, each with what is done where a release lacks it."""

from __future__ import annotations

from typing import Any

__all__ = ["approx_derivative", "unwrapped"]

try:  # what SciPy's own methods use
    from scipy.optimize._numdiff import approx_derivative
except ImportError:
    from rprop.solver.differences import approx_derivative

try:
    from scipy.optimize._optimize import MemoizeJac
except ImportError:
    MemoizeJac = ()


def unwrapped(fun: Any, jac: Any) -> tuple[Any, Any]:
    """Return what was given to `scipy.optimize.minimize` as ``jac=True``, which it wraps."""
    if isinstance(fun, MemoizeJac) and jac == fun.derivative:
        return fun.fun, True
    return fun, jac
