"""``fun`` and ``jac`` in every form SciPy accepts, as one counted callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize._numdiff import approx_derivative  # what SciPy's own methods use
from scipy.optimize._optimize import MemoizeJac

from rprop.rule.state import Array

METHODS = ("2-point", "3-point", "cs")


class Objective:
    """Loss and gradient at one point, evaluated together.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or ``-> (float, gradient)`` if `jac` is True.
    jac : callable, bool, {"2-point", "3-point", "cs"} or None
        ``jac(x, *args) -> gradient``; True if `fun` returns both; else finite differences.
    args : tuple
        Further arguments of both.
    x0 : ndarray
        The start: sets shape and dtype of the points.
    lower, upper : ndarray
        Bounds that finite differences respect. Where they are equal, the component of the
        gradient is 0 and costs nothing.
    difference : dict
        `method`, `rel_step`, `abs_step` and `workers` of the finite differences.

    Attributes
    ----------
    nfev, njev : int
        Losses and gradients computed so far; `nfev` includes those for finite differences.
    cost : int
        Evaluations of `fun` that one call takes.
    unknown : ndarray of bool
        Where the gradient's 0 says nothing.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Any,
        args: tuple[Any, ...],
        x0: Array,
        lower: Array,
        upper: Array,
        difference: dict[str, Any],
    ) -> None:
        if not callable(fun):
            raise TypeError(f"fun must be callable; got {fun!r}")
        if isinstance(fun, MemoizeJac) and jac == fun.derivative:  # `minimize` made two of one
            fun, jac = fun.fun, True
        self.fun, self.args, self.size = fun, args, x0.size
        self.dtype = np.result_type(x0.dtype, np.float64)  # float32 would lose tiny gradients
        self.nfev = self.njev = 0
        self.cost = 1
        self.unknown = np.zeros(x0.size, bool)
        self.jac = jac if callable(jac) else None
        self.joint = self.jac is None and isinstance(jac, (bool, np.bool_, int)) and bool(jac)
        if self.jac is None and not self.joint:
            if isinstance(jac, str):
                difference = {**difference, "method": jac}
            elif jac is not None and not isinstance(jac, (bool, np.bool_, int)):
                raise TypeError(f"jac must be callable, a bool, a string or None; got {jac!r}")
            if difference["method"] not in METHODS:
                raise ValueError(
                    f"finite_diff_method must be one of {METHODS}; got {difference['method']!r}"
                )
            self.difference = difference
            self.free = lower < upper
            self.unknown = ~self.free
            self.lower, self.upper = lower[self.free], upper[self.free]
            self.cost += (2 if difference["method"] == "3-point" else 1) * int(self.free.sum())

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Evaluate loss and gradient at `x`, which neither call can write to."""
        self.nfev += 1
        self.njev += 1
        if self.joint:
            both = self.fun(x.copy(), *self.args)
            try:
                loss, gradient = both
            except (TypeError, ValueError):
                raise ValueError(
                    f"fun must return (loss, gradient) with jac=True; got {both!r}"
                ) from None
            return scalar(loss), self.vector(gradient)
        loss = scalar(self.fun(x.copy(), *self.args))
        if self.jac is None:
            return loss, self.differences(x, loss)
        return loss, self.vector(self.jac(x.copy(), *self.args))

    def vector(self, gradient: Any) -> Array:
        """Copy a gradient: its owner may reuse the array."""
        array = as_array("the gradient", gradient)
        if array.size != self.size:
            raise ValueError(
                f"the gradient must have the shape of x0, {(self.size,)}; got shape {array.shape}"
            )
        if array.dtype.kind not in "biuf":
            raise TypeError(f"the gradient must be real; got dtype {array.dtype}")
        return array.astype(self.dtype).reshape(self.size)

    def differences(self, x: Array, loss: float) -> Array:
        """Differentiate numerically the variables that are free to move."""
        gradient = np.zeros(self.size, self.dtype)
        if self.cost == 1 or not np.isfinite(loss):
            return gradient

        slopes, info = approx_derivative(
            Free(self.fun, self.args, x, self.free),
            x[self.free],
            f0=loss,
            bounds=(self.lower, self.upper),
            full_output=True,
            **self.difference,
        )
        self.nfev += info["nfev"]
        gradient[self.free] = slopes
        return gradient


@dataclass
class Free:
    """The loss as a function of the free variables; a class, so that processes can have it."""

    fun: Callable[..., Any]
    args: tuple[Any, ...]
    x: Array
    free: Array

    def __call__(self, free: Array) -> Any:
        """Evaluate the loss; complex steps have complex losses."""
        x = self.x.astype(np.result_type(self.x, free))
        x[self.free] = free
        return scalar(self.fun(x, *self.args), complex_step=free.dtype.kind == "c")


def scalar(loss: Any, complex_step: bool = False) -> Any:
    """Return the loss as a number."""
    if isinstance(loss, float):
        return float(loss)
    array = as_array("the loss", loss)
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value; "
            f"got shape {array.shape}"
        )
    if array.dtype.kind not in ("biufc" if complex_step else "biuf"):
        raise TypeError(f"the loss must be a real number; got {loss!r}")
    return array.item()


def as_array(name: str, value: Any) -> Array:
    """Turn what a function of the user returned into an array."""
    try:
        return np.asarray(value)
    except ValueError:  # such as (loss, gradient) where only the loss was asked for
        raise ValueError(f"{name} must not be of irregular shape; got {value!r}") from None
