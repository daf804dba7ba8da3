"""`minimize_rprop`, a method for `scipy.optimize.minimize`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, OptimizeResult, OptimizeWarning

from rprop.rule import checks
from rprop.rule.state import Array
from rprop.rule.variants import Variant
from rprop.solver.directions import LIMIT
from rprop.solver.engine import RUNNING, Run, Settings, advance, begin, resume
from rprop.solver.objective import Objective
from rprop.solver.record import Recorder, announce, warn

__all__ = ["minimize_rprop"]


def minimize_rprop(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    *,
    tol: float | None = None,
    variant: str | Variant = "irprop+",
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[ArrayLike, ArrayLike] = (0.0, math.inf),
    delta0: ArrayLike | str = "auto",
    gtol: float | None = None,
    xtol: float | None = None,
    ftol: float = 0.0,
    f_target: float = -math.inf,
    maxiter: float = 10_000,
    maxfev: float = math.inf,
    basis: str | None = None,
    safeguard: str | None = None,
    state: Run | None = None,
    history: bool = False,
    return_all: bool = False,
    progress: bool = False,
    disp: bool = False,
    finite_diff_method: str = "2-point",
    finite_diff_rel_step: ArrayLike | None = None,
    eps: ArrayLike | None = None,
    workers: Any = None,
    **unknown_options: Any,
) -> OptimizeResult:
    """Minimise a smooth function of many variables by resilient backpropagation.

    Call it directly, or as ``scipy.optimize.minimize(..., method=minimize_rprop)``, where the
    keyword-only parameters below are the `options`.

    Parameters
    ----------
    fun : callable
        The loss, ``fun(x, *args) -> float``, or ``-> (float, gradient)`` with ``jac=True``.
    x0 : array_like, shape (n,)
        The start. float32 and longdouble are kept; everything else becomes float64.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    jac : callable, True or None, optional
        The gradient, ``jac(x, *args) -> array``; True if `fun` returns it as well. Without it
        the gradient is estimated by finite differences.
    hess, hessp, constraints : optional
        Not used: a RuntimeWarning says so.
    bounds : sequence of (low, high) or scipy.optimize.Bounds, optional
        Limits of the variables. `fun` is never evaluated outside, and the start is moved inside.
    callback : callable, optional
        Called after every iteration as ``callback(xk)``, or as
        ``callback(intermediate_result=...)`` if that is the name of its one parameter; the
        best point so far is passed. Raising StopIteration ends the run with status 99.
    tol : float, optional
        Stands for `gtol` where that is not given.
    variant : str or Variant, optional
        What a coordinate does when its gradient changes sign; see `VARIANTS`.
    etas : (float, float), optional
        (η-, η+), the factors that shrink and grow a step size.
    step_sizes : (array_like, array_like), optional
        (Δmin, Δmax), the limits of the step sizes. A positive Δmin limits the accuracy.
    delta0 : "auto" or array_like, optional
        The first step size. "auto" is a tenth of ``|x0|`` (where x0 is 0, of the median of the
        other components; 0.1 if all are 0; at most a tenth of the distance between bounds),
        doubled or quartered along the first move as long as that lowers the loss.
    gtol : float, optional
        Stop when no component of the gradient that could still move is larger. By default
        1e-8, times the largest such component at x0 where that is less than 1.
    xtol : float, optional
        Stop when every step size is at most `xtol` times ``|x_i|``, or times the first step
        size where that is larger. By default 1e-8, for float32 twice its machine epsilon.
    ftol : float, optional
        Stop when within 20 iterations the best loss fell by at most ``ftol * max(|loss|, 1)``.
        0 switches the criterion off.
    f_target : float, optional
        Stop when the loss is at most this.
    maxiter, maxfev : int, optional
        Limits of the number of iterations and of evaluations of `fun`.
    basis : "learned" or None, optional
        Take the steps along learned directions instead of the axes, for narrow valleys that lie
        across them: the eigenvectors of a running mean of ``y yᵀ / |y|²``, with y the change of
        the gradient over one step, renewed every max(10, n) steps. Costs O(n²) a step and O(n³)
        a renewal, so n is limited to 500; not with bounds.
    safeguard : "armijo" or None, optional
        Every 50 iterations take a gradient step from the best point, as long as Armijo's rule
        accepts; see the notes. Costs a few evaluations.
    history : bool, optional
        Record every iteration in ``result.history``, a structured array.
    return_all : bool, optional
        Keep every iterate in ``result.allvecs``.
    progress : bool, optional
        Show a progress bar on standard error, of tqdm where that is installed.
    disp : bool, optional
        Print the outcome; warn instead if the run failed.
    state : optional
        ``result.state`` of an earlier run to go on with, bit for bit. `x0` and `bounds` are
        ignored then.
    finite_diff_method : {"2-point", "3-point", "cs"}, optional
        How to estimate the gradient. (`scipy.optimize.minimize` withholds such a `jac` string
        from a method it does not know.)
    finite_diff_rel_step, eps : array_like, optional
        Relative and absolute steps of the finite differences.
    workers : int or map-like callable, optional
        Evaluates finite differences in parallel.

    Returns
    -------
    scipy.optimize.OptimizeResult
        With the best point visited in `x`, `fun` and `jac`; `nit`, `nfev`, `njev`, `status`,
        `success`, `message`, and `state`.

    Raises
    ------
    ValueError, TypeError
        If an argument or something that `fun` or `jac` returned is unusable; the message names
        it. Exceptions of `fun`, `jac` and `callback` propagate, and carry the result so far in
        their attribute ``result``.

    Notes
    -----
    ====== ======= ===================================================
    status success reason to stop
    ====== ======= ===================================================
    0      yes     the projected gradient is within `gtol`
    1      no      `maxiter`
    2      no      `maxfev`
    3      no      loss or gradient is not finite at `x0`
    4      yes     every step size is within `xtol`
    5      yes     the loss fell by no more than `ftol`
    6      yes     `f_target`
    7      yes     all variables are fixed by bounds
    8      no      steps shrank to `xtol` without a usable value
    99     no      `callback` raised StopIteration
    ====== ======= ===================================================

    Where the loss or its gradient is not finite, the run goes back to the best point and tries
    smaller steps. Where `x` is not moved by a step, or is moved back to where the run has just
    been, nothing is evaluated.

    Rprop alone need not converge. With ``safeguard="armijo"``, without bounds and with the
    stopping rules off, it does in this sense: if the loss is bounded below and its gradient
    Lipschitz continuous, the gradients at the best points from which the safeguard steps tend
    to zero. Each such step lowers the least loss so far by at least a fixed multiple of the
    squared gradient, for Armijo's rule accepts a length bounded below [2]_, and nothing in between
    raises the least loss; so these squares have a finite sum.

    References
    ----------
    .. [1] C. Igel and M. Hüsken, "Empirical evaluation of the improved Rprop learning
           algorithms", Neurocomputing 50, 2003, 105-123.
    .. [2] L. Armijo, "Minimization of functions having Lipschitz continuous first partial
           derivatives", Pacific Journal of Mathematics 16, 1966, 1-3.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> from rprop import minimize_rprop
    >>> result = minimize(rosen, [-1.2, 1.0], jac=rosen_der, method=minimize_rprop)
    >>> result.success
    True
    >>> abs(result.x - 1).max() < 1e-4
    np.True_
    """
    warn_unused(unknown_options, hess, hessp, constraints)
    if not isinstance(state, Run | None):
        raise TypeError(f"state must be the state of an earlier result; got {state!r}")
    x = start(x0) if state is None else state.here.x
    lower, upper = box(bounds, x) if state is None else (state.lower, state.upper)
    objective = Objective(
        fun,
        jac,
        args if isinstance(args, tuple) else (args,),
        x,
        lower,
        upper,
        {
            "method": finite_diff_method,
            "rel_step": finite_diff_rel_step,
            "abs_step": eps,
            "workers": workers,
        },
    )
    settings, delta, learned = configure(
        x,
        limits(lower, upper),
        objective.cost,
        tol=tol,
        variant=variant,
        etas=etas,
        step_sizes=step_sizes,
        delta0=delta0,
        gtol=gtol,
        xtol=xtol,
        ftol=ftol,
        f_target=f_target,
        maxiter=maxiter,
        maxfev=maxfev,
        basis=basis,
        safeguard=safeguard,
    )

    def evaluate(_: Array, point: Array) -> tuple[Any, Array]:
        loss, gradient = objective(point)
        return np.float64(loss), gradient

    recorder = Recorder(
        objective, callback, maxiter, history=history, return_all=return_all, progress=progress
    )
    run: Any = None
    status = None
    try:
        if state is None:
            run = begin(evaluate, np.int64(0), x, lower, upper, delta, learned, settings)
        else:
            run = resume(state, settings)
        recorder.start(run)
        while run.status == RUNNING:
            advance(run, evaluate, settings)
            try:
                recorder.iteration(run)
            except StopIteration:  # of the callback, not of fun
                status = 99
                break
    except BaseException as error:
        if run is not None:
            with suppress(AttributeError):  # some exceptions have no room for it
                error.result = recorder.result(run)  # type: ignore[attr-defined]
        raise
    finally:
        recorder.close()
    result = recorder.result(run, status)
    if disp:
        announce(result)
    return result


def configure(
    x: Array,
    bounded: bool,
    cost: int,
    *,
    tol: float | None,
    variant: str | Variant,
    etas: tuple[float, float],
    step_sizes: tuple[ArrayLike, ArrayLike],
    delta0: ArrayLike | str,
    gtol: float | None,
    xtol: float | None,
    ftol: float,
    f_target: float,
    maxiter: float,
    maxfev: float,
    basis: str | None,
    safeguard: str | None,
) -> tuple[Settings, Any, bool]:
    """Check the options that one run and many have in common; return also Δ0 and the basis."""
    size = x.shape[-1]
    settings = Settings(
        variant=checks.row(variant),
        etas=checks.factors(etas),
        step_sizes=checks.limits(step_sizes, (size,), x.dtype),
        search=isinstance(delta0, str),
        gtol=checks.tolerance("gtol", tol if gtol is None else gtol),
        # Steps below half a unit in the last place move nothing: the sign stays, and Δ grows again.
        xtol=checks.tolerance(
            "xtol", max(1e-8, 2 * np.finfo(x.dtype).eps) if xtol is None else xtol
        ),
        ftol=checks.tolerance("ftol", ftol),
        f_target=f_target,
        maxiter=checks.tolerance("maxiter", maxiter),
        maxfev=np.float64(checks.tolerance("maxfev", maxfev)),
        bounded=bounded,
        safeguard=choice("safeguard", safeguard, "armijo"),
        cost=np.int32(cost),  # counts are NumPy's: with Python's they take twenty times as long
    )
    if settings.maxfev < cost:
        raise ValueError(
            f"maxfev must be at least {cost}, what loss and gradient at x0 take; got {maxfev!r}"
        )
    learned = choice("basis", basis, "learned")
    if learned and (bounded or size > LIMIT):
        raise ValueError(
            f"basis='learned' takes no bounds and at most {LIMIT} variables; got "
            f"{'bounds' if bounded else f'{size} variables'}"
        )
    return settings, first_delta(delta0, x), learned


def defaults() -> dict[str, Any]:
    """Return the defaults of the options that one run and many have in common."""
    names = inspect.getfullargspec(configure).kwonlyargs
    given = inspect.signature(minimize_rprop).parameters
    return {name: given[name].default for name in names}


def choice(name: str, value: str | None, only: str) -> bool:
    """Check an option that is a name or None."""
    if value not in (None, only):
        raise ValueError(f"{name} must be None or {only!r}; got {value!r}")
    return value is not None


def warn_unused(options: dict[str, Any], hess: Any, hessp: Any, constraints: Any) -> None:
    """Say what will not be used."""
    if options:
        names = ", ".join(map(str, options))
        warn(f"Unknown solver options: {names}", OptimizeWarning)
    for name, given in {"hess": hess, "hessp": hessp}.items():
        if given is not None:
            warn(f"Method rprop does not use Hessian information ({name}).", RuntimeWarning)
    if constraints is not None and np.size(constraints):
        warn("Method rprop cannot handle constraints.", RuntimeWarning)


def start(x0: ArrayLike) -> Array:
    """Copy the start into an array of floats."""
    x = floats("x0", x0)
    if x.ndim > 1:
        raise ValueError(f"x0 must have one dimension; got shape {x.shape}")
    return np.atleast_1d(x)


def floats(name: str, value: ArrayLike) -> Array:
    """Copy real numbers; float32 and longdouble are kept, everything else becomes float64."""
    x = checks.numeric(name, value)
    if x.dtype.kind == "c":
        warn(f"{name} is complex; its imaginary part is discarded.", RuntimeWarning)
        x = x.real
    keep = x.dtype.kind == "f" and x.dtype.itemsize > 2
    return np.array(x, x.dtype.newbyteorder("=") if keep else np.float64, order="C")


def first_delta(delta0: ArrayLike | str, x: Array) -> Any:
    """Check the first step size of a run."""
    if isinstance(delta0, str):
        if delta0 != "auto":
            raise ValueError(f"delta0 must be 'auto' or positive numbers; got {delta0!r}")
        return delta0
    return checks.delta_zero(delta0, x.shape, x.dtype)


def box(bounds: Any, x: Array) -> tuple[Array, Array]:
    """Return bounds in either of SciPy's formats as two arrays of the dtype of `x`."""
    if bounds is None:
        bounds = Bounds()
    if isinstance(bounds, Bounds):
        pair = bounds.lb, bounds.ub
    else:
        bounds = list(bounds)
        if len(bounds) != x.shape[-1]:
            raise ValueError("The number of bounds is not compatible with the length of `x0`.")
        pair = (
            [-np.inf if low is None else low for low, _ in bounds],
            [np.inf if high is None else high for _, high in bounds],
        )
    try:
        lower, upper = np.broadcast_arrays(*(np.asarray(side, float) for side in pair))
        np.broadcast_to(lower, x.shape)
    except ValueError:
        message = "The number of bounds is not compatible with the length of `x0`."
        raise ValueError(message) from None
    if (lower > upper).any():
        raise ValueError("An upper bound is less than the corresponding lower bound.")
    if np.isnan(lower).any() or np.isnan(upper).any():
        raise ValueError(f"bounds must not be NaN; got {bounds!r}")
    inner = lower.astype(x.dtype), upper.astype(x.dtype)  # rounding must not lead outside
    low = np.where(inner[0] < lower, np.nextafter(inner[0], np.inf, dtype=x.dtype), inner[0])
    high = np.where(inner[1] > upper, np.nextafter(inner[1], -np.inf, dtype=x.dtype), inner[1])
    return np.broadcast_to(low, x.shape), np.broadcast_to(high, x.shape)


def limits(lower: Array, upper: Array) -> bool:
    """Tell whether bounds limit anything."""
    return bool((lower > -np.inf).any() or (upper < np.inf).any())
