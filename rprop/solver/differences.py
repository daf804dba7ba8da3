"""Finite differences in plain NumPy, for releases of SciPy without the function it uses itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rprop.rule.state import Array

__all__ = ["approx_derivative"]


def approx_derivative(
    fun: Callable[[Array], Any],
    x0: Array,
    *,
    method: str,
    f0: Any,
    bounds: tuple[Array, Array],
    rel_step: Any = None,
    abs_step: Any = None,
    workers: Any = None,
    full_output: bool = True,  # noqa: ARG001  # as SciPy's is called
) -> tuple[Array, dict[str, int]]:
    """Return the gradient of a scalar function within bounds, and how often it was evaluated."""
    size = (
        1e-20
        if method == "cs"
        else np.finfo(x0.dtype).eps ** (0.5 if method == "2-point" else 1 / 3)
    )
    step = size * np.maximum(1, abs(x0)) if rel_step is None else rel_step * abs(x0)
    step = np.broadcast_to(step if abs_step is None else abs_step, x0.shape).astype(x0.dtype)
    step = np.where((x0 + step) - x0 == 0, size * np.maximum(1, abs(x0)), step)
    steps = np.diag(step)
    many = workers if callable(workers) else map
    if method == "cs":
        values = np.array(list(many(fun, list(x0 + 1j * steps))))
        return values.imag / step, {"nfev": len(values)}
    ahead, behind = np.minimum(x0 + steps, bounds[1]), np.maximum(x0 - steps, bounds[0])
    if method == "2-point":  # to the side with more room
        turn = (np.diag(ahead) - x0) < (x0 - np.diag(behind))
        points = np.where(turn[:, None], behind, ahead)
        values = np.array(list(many(fun, list(points))))
        return (values - f0) / (np.diag(points) - x0), {"nfev": len(values)}
    values = np.array(list(many(fun, [*ahead, *behind])))
    above, below = np.split(values, 2)
    return (above - below) / (np.diag(ahead) - np.diag(behind)), {"nfev": len(values)}
