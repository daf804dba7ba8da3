"""The parts of SciPy that are not public, each with what is done where a release lacks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

__all__ = ["MapWrapper", "approx_derivative", "unwrapped"]

try:  # what SciPy's own methods use
    from scipy.optimize._numdiff import approx_derivative
except ImportError:
    from rprop.solver.differences import approx_derivative

try:
    from scipy._lib._util import MapWrapper
except ImportError:

    class MapWrapper:  # type: ignore[no-redef]
        """A map over `workers` processes, or whatever map `workers` is."""

        def __init__(self, workers: Any) -> None:
            import multiprocessing

            self.pool = None
            self.map: Any = workers
            if not callable(workers):
                count = int(workers)
                if count == 1:
                    self.map = map
                else:
                    self.pool = multiprocessing.Pool(None if count == -1 else count)
                    self.map = self.pool.map

        def __call__(self, function: Callable[..., Any], items: Any) -> Any:
            """Apply the function to every item."""
            return self.map(function, items)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *exception: object) -> None:
            if self.pool is not None:
                self.pool.terminate()


try:
    from scipy.optimize._optimize import MemoizeJac
except ImportError:
    MemoizeJac = ()


def unwrapped(fun: Any, jac: Any) -> tuple[Any, Any]:
    """Return what was given to `scipy.optimize.minimize` as ``jac=True``, which it wraps."""
    if MemoizeJac and isinstance(fun, MemoizeJac) and jac == fun.derivative:
        return fun.fun, True
    return fun, jac
