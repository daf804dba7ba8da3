"""``fun`` and ``jac`` in every form SciPy accepts, as one counted callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning

from rprop.rule.state import Array
from rprop.solver.messages import warn
from rprop.solver.scipy_private import approx_derivative, unwrapped

METHODS = ("2-point", "3-point", "cs")
ORDER = {"2-point": 1 / 2, "3-point": 1 / 3}  # the exponent of the precision in the best step
FAR = 1e-4  # the relative step where shorter ones showed nothing


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
    cost, maxfev : int
        Evaluations of `fun` that one call takes, and the limit of all; a call whose differences
        show nothing looks further as long as that allows it.
    flat : bool
        Whether the last finite differences saw no change of the loss at all.
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
        fun, jac = unwrapped(fun, jac)
        self.fun, self.args, self.size = fun, args, x0.size
        self.dtype = np.result_type(x0.dtype, np.float64)  # float32 would lose tiny gradients
        self.nfev = self.njev = 0
        self.cost, self.maxfev = 1, np.inf
        self.unknown = np.zeros(x0.size, bool)
        self.flat = False
        self.jac = jac if callable(jac) else None
        self.joint = self.jac is None and isinstance(jac, (bool, np.bool_, int)) and bool(jac)
        if self.jac is None and not self.joint:
            if isinstance(jac, str):
                difference = {**difference, "method": jac}
            elif jac is not None and not isinstance(jac, (bool, np.bool_, int)):
                raise TypeError(f"jac must be callable, a bool, a string or None; got {jac!r}")
            self.method = difference["method"]
            if self.method not in METHODS:
                raise ValueError(
                    f"finite_diff_method must be one of {METHODS}; got {self.method!r}"
                )
            self.workers = difference["workers"]
            self.free = lower < upper
            self.unknown = ~self.free
            self.lower, self.upper = lower[self.free], upper[self.free]
            self.rel_step = self.step("finite_diff_rel_step", difference["rel_step"])
            self.abs_step = self.step("eps", difference["abs_step"])
            self.cost += (2 if self.method == "3-point" else 1) * int(self.free.sum())

    def step(self, name: str, given: Any) -> Any:
        """Check a step of the finite differences; return that of the free variables."""
        if given is None:
            return None
        array = as_array(name, given)
        shaped = array.ndim == 0 or array.shape == (self.size,)
        if (
            not shaped
            or array.dtype.kind not in "iuf"
            or not ((array > 0) & (array < np.inf)).all()
        ):
            raise ValueError(
                f"{name} must be a positive finite number, or one for each of {self.size} variables; "
                f"got {given!r}"
            )
        return np.broadcast_to(array, self.size)[self.free]

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
                    "fun must return (loss, gradient) with jac=True; "
                    f"got {both!r}. Pass jac=None where fun returns the loss alone"
                ) from None
            return scalar(loss), self.vector(gradient)
        value = self.fun(x.copy(), *self.args)
        if self.jac is None:
            return scalar(value), self.differences(x, value)
        return scalar(value), self.vector(self.jac(x.copy(), *self.args))

    def vector(self, gradient: Any) -> Array:
        """Copy a gradient: its owner may reuse the array."""
        array = as_array("the gradient", gradient)
        if array.size != self.size:
            raise ValueError(
                f"the gradient must have the shape of x0, {(self.size,)}; got shape {array.shape}"
            )
        if array.dtype.kind not in "biuf":
            raise TypeError(f"the gradient must be real; got dtype {array.dtype}")
        array = array.astype(self.dtype)
        return array if array.ndim == 1 else array.reshape(self.size)

    def differences(self, x: Array, value: Any) -> Array:
        """Differentiate numerically the variables that are free to move."""
        gradient, loss = np.zeros(self.size, self.dtype), scalar(value)
        if self.cost == 1 or not np.isfinite(loss):
            return gradient
        free = x[self.free]
        step = self.abs_step
        if step is None and self.rel_step is None and self.method != "cs":
            step = precision(value, x) ** ORDER[self.method] * np.maximum(1, abs(free))
        slopes = self.quotients(x, free, loss, self.method, step)
        self.flat = not slopes.any()
        if self.flat and self.nfev + 2 * free.size <= self.maxfev:
            # the steps were too short for what the loss can show, or it ignores them
            slopes = self.look_further(x, free, loss)
        gradient[self.free] = slopes
        return gradient

    def quotients(self, x: Array, free: Array, loss: float, method: str, step: Any) -> Array:
        """Return difference quotients in the free variables."""
        slopes, info = approx_derivative(
            Free(self.fun, self.args, x, self.free),
            free,
            f0=loss,
            bounds=(self.lower, self.upper),
            full_output=True,
            method=method,
            rel_step=self.rel_step,
            abs_step=step,
            workers=self.workers,
        )
        self.nfev += info["nfev"]
        return np.atleast_1d(slopes)

    def look_further(self, x: Array, free: Array, loss: float) -> Array:
        """Differentiate with much longer steps where every quotient was exactly 0.

        `flat` stays true only if the loss is the same at all these points, too, or not finite.
        """
        fun = Free(self.fun, self.args, x, self.free)
        slopes, self.flat = np.zeros(free.size), True
        for i, step in enumerate(FAR * np.maximum(1, abs(free))):
            ends = np.array([free, free])
            ends[:, i] = max(free[i] - step, self.lower[i]), min(free[i] + step, self.upper[i])
            below, above = map(fun, ends)
            self.nfev += 2
            slopes[i] = (above - below) / (ends[1, i] - ends[0, i])
            self.flat = self.flat and (below == above == loss or not np.isfinite(slopes[i]))
        if self.njev == 1:
            warn(
                "Finite differences at x0 were exactly 0 in every free variable: the loss does not "
                "show steps so short. Give finite_diff_rel_step, or the gradient.",
                OptimizeWarning,
            )
        return np.where(np.isfinite(slopes), slopes, 0)


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


def precision(value: Any, x: Array) -> float:
    """Return the relative precision of a loss, which its dtype tells."""
    dtypes = (np.dtype(float), x.dtype, np.asarray(value).dtype)
    return float(max(np.finfo(dtype).eps for dtype in dtypes if dtype.kind == "f"))


def scalar(loss: Any, complex_step: bool = False) -> Any:
    """Return the loss as a number."""
    if isinstance(loss, float):
        return float(loss)
    array = as_array("the loss", loss)
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value; "
            f"got shape {array.shape}{advice(loss)}"
        )
    if array.dtype.kind not in ("biufc" if complex_step else "biuf"):
        raise TypeError(f"the loss must be a real number; got {loss!r}")
    return array.item()


def advice(loss: Any) -> str:
    """Tell what to do where a loss came with its gradient."""
    both = isinstance(loss, (tuple, list)) and len(loss) == 2
    return "; pass jac=True where fun returns (loss, gradient)" if both else ""


def as_array(name: str, value: Any) -> Array:
    """Turn what a function of the user returned into an array."""
    try:
        return np.asarray(value)
    except ValueError:
        hint = advice(value) if name == "the loss" else ""
        raise ValueError(f"{name} must be one number or array; got {value!r}{hint}") from None
    except RuntimeError as error:  # of a tensor that requires a gradient
        raise TypeError(f"{name} must be numbers; got {type(value).__name__}: {error}") from None
