"""One problem from many starts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult
from scipy.stats import qmc

from rprop.rule import checks
from rprop.rule.state import Array
from rprop.solver.batch import minimize_batch
from rprop.solver.bounds import as_box
from rprop.solver.minimize import minimize_rprop
from rprop.solver.minimizer import floats
from rprop.solver.scipy_private import MapWrapper

__all__ = ["multistart"]

SAMPLES: dict[str, Any] = {"sobol": qmc.Sobol, "latinhypercube": qmc.LatinHypercube}
FIELDS = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success")


def multistart(
    fun: Callable[..., Any],
    bounds: Any = None,
    n_starts: int | None = None,
    *,
    X0: ArrayLike | None = None,
    args: Any = (),
    jac: Any = None,
    vectorized: bool = False,
    workers: Any = 1,
    rng: Any = None,
    sampling: str = "sobol",
    separation: float = 1e-3,
    **options: Any,
) -> OptimizeResult:
    """Look for the lowest of several minima by starting from many points.

    Parameters
    ----------
    fun : callable
        As in `minimize_rprop`; with `vectorized` as in `minimize_batch`.
    bounds : sequence of (low, high) or scipy.optimize.Bounds, optional
        Limits of the n variables. Starts are sampled between them, so they must be finite unless
        `X0` is given.
    n_starts : int, optional
        How many starts to sample, 64 by default; powers of 2 suit Sobol's sequence.
    X0 : array_like, shape (n_starts, n), optional
        The starts, instead of a sample.
    args : tuple, optional
        Further arguments of `fun` and `jac`; the same for all starts.
    jac : callable, True or None, optional
        As in `minimize_rprop`; with `vectorized`, `fun` returns gradients.
    vectorized : bool, optional
        Whether `fun` takes many points at once.
    workers : int or map-like callable, optional
        How many processes to spread the starts over, -1 for one a CPU, or what to use for `map`.
    rng : int or numpy.random.Generator, optional
        What to draw the sample with. The result depends on it, and not on `workers`.
    sampling : {"sobol", "latinhypercube"}, optional
        A scrambled Sobol sequence or a Latin hypercube.
    separation : float, optional
        Two results are the same minimum if no variable differs by more than this part of the
        range of the starts.
    **options
        Further options of `minimize_rprop` or `minimize_batch`.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Arrays as from `minimize_batch`, best row first: `x` and `jac` (n_starts, n), `fun`,
        `nit`, `nfev`, `njev`, `status`, `success` and `message`; `x0` (n_starts, n), the start of
        each; `minimum`, which of the distinct minima a row found, the best being 0, or -1 for
        rows without success; `n_minima`, the number of distinct minima.

    Raises
    ------
    ValueError, TypeError
        If an argument is unusable, or a map-like `workers` lost results.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop import multistart
    >>> def wells(x):  # minima near -1 and 1, the first one lower
    ...     return ((x**2 - 1) ** 2 + 0.1 * x).sum(), 4 * x * (x**2 - 1) + 0.1
    >>> result = multistart(wells, [(-2, 2)], 16, jac=True, rng=0)
    >>> result.n_minima
    2
    >>> result.x[0].round(1)
    array([-1.])
    """
    starts = sample(bounds, n_starts, rng, sampling) if X0 is None else given(X0, n_starts)
    if not separation >= 0:
        raise ValueError(f"separation must not be negative; got {separation!r}")
    args = args if isinstance(args, tuple) else (args,)
    if vectorized:
        if workers != 1:
            raise ValueError(f"workers must be 1 if fun is vectorized; got {workers!r}")
        shared = functools.partial(passing, fun, args)  # arrays in args are not cut to rows
        result = minimize_batch(shared, starts, bounds=bounds, **options)
    else:
        task = functools.partial(minimize_rprop, fun, args=args, jac=jac, bounds=bounds, **options)
        with MapWrapper(workers) as mapper:
            results = list(mapper(task, starts))
        if len(results) != len(starts):
            raise ValueError(
                f"workers must return a result for each of {len(starts)} starts; got {len(results)}"
            )
        result = OptimizeResult({key: np.array([one[key] for one in results]) for key in FIELDS})
        result.message = np.array([one.message for one in results], object)
    result.x0 = starts
    order = np.argsort(np.where(np.isfinite(result.fun), result.fun, np.nan), kind="stable")
    kept = (*FIELDS, "message", "x0")
    result = OptimizeResult({key: result[key][order] for key in kept})
    result.minimum = label(result.x, result.success, separation * span(starts))
    result.n_minima = int(result.minimum.max()) + 1
    return result


def passing(fun: Callable[..., Any], args: tuple[Any, ...], X: Array) -> Any:
    """Evaluate with arguments that all rows share."""
    return fun(X, *args)


def given(X0: ArrayLike, n_starts: int | None) -> Array:
    """Check starts."""
    starts = floats("X0", checks.real("X0", X0))
    if starts.ndim != 2 or not len(starts):
        raise ValueError(
            f"X0 must hold at least one start in an array of shape (n_starts, n); "
            f"got shape {starts.shape}"
        )
    if n_starts not in (None, len(starts)):
        raise ValueError(f"n_starts must be the length of X0, {len(starts)}; got {n_starts!r}")
    return starts


def sample(bounds: Any, n_starts: int | None, rng: Any, sampling: str) -> Array:
    """Draw starts between bounds."""
    count = 64 if n_starts is None else n_starts
    if not np.issubdtype(type(count), np.integer) or count < 1:
        raise ValueError(f"n_starts must be a positive integer; got {n_starts!r}")
    if sampling not in SAMPLES:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLES)}; got {sampling!r}")
    if bounds is None:
        raise ValueError("bounds or X0 must be given; got neither")
    if hasattr(bounds, "lb"):
        size = np.broadcast(bounds.lb, bounds.ub).size
    else:
        bounds = list(bounds)
        size = len(bounds)
    lower, upper = as_box(bounds, np.zeros(size))
    if not (np.isfinite(lower) & np.isfinite(upper)).all():
        raise ValueError(f"bounds must be finite unless X0 is given; got {bounds!r}")
    engine = SAMPLES[sampling](size, rng=rng)
    if sampling == "sobol":  # drawn in full, it is balanced
        unit = engine.random_base2(int(count - 1).bit_length())[:count]
    else:
        unit = engine.random(count)
    return np.clip(lower + unit * (upper - lower), lower, upper)


def span(starts: Array) -> Array:
    """Return the range of the starts in each variable; 1 where they agree."""
    width = starts.max(axis=0) - starts.min(axis=0)
    return np.where(width > 0, width, 1)


def label(x: Array, success: Array, distance: Array) -> Array:
    """Give numbers to distinct minima in the order of their best rows."""
    labels = np.where(success, len(x), -1)
    for number in range(len(x)):
        rest = labels == len(x)
        if not rest.any():
            break
        near = (abs(x - x[rest.argmax()]) <= distance).all(axis=1)
        labels[rest & near] = number
    return labels
