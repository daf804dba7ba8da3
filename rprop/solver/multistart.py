"""One problem from many starts."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
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
from rprop.solver.options import defaults, flag, processes, tolerances, unknown
from rprop.solver.progress import Bar
from rprop.solver.result import Result, announce
from rprop.solver.run import Run, rebuild

__all__ = ["multistart"]

SAMPLES: dict[str, Any] = {"sobol": qmc.Sobol, "latinhypercube": qmc.LatinHypercube}
BEST = ("x", "fun", "jac", "nit", "status", "success", "message")
LISTS = ("history", "allvecs", "state")  # what there is of each run if it is asked for


def multistart(
    fun: Callable[..., Any],
    bounds: Any = None,
    n_starts: int | None = None,
    *,
    X0: ArrayLike | None = None,
    args: Any = (),
    jac: Any = None,
    callback: Callable[..., Any] | None = None,
    vectorized: bool = False,
    workers: Any = 1,
    rng: Any = None,
    sampling: str = "sobol",
    separation: ArrayLike = 1e-3,
    return_state: bool = False,
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
        As in `minimize_rprop`; with `vectorized` as in `minimize_batch`, and None is True.
    callback : callable, optional
        As in `minimize_rprop`, called by every run; with `vectorized` as in `minimize_batch`.
        Raising StopIteration ends the search: starts after the one that was ended are left out.
    vectorized : bool, optional
        Whether `fun` takes many points at once. Add ``keep_shape=True`` if it is compiled by
        `jax.jit`.
    workers : int or map-like callable, optional
        How many processes to spread the starts over, -1 for one a CPU, or what to use for `map`.
    rng : None, int or numpy.random.Generator, optional
        What to draw the sample with. The result depends on it, and not on `workers`.
    sampling : {"sobol", "latinhypercube"}, optional
        A scrambled Sobol sequence or a Latin hypercube.
    separation : float or array_like, optional
        Two results are the same minimum if no variable differs by more than this part of the
        range of the starts. One number, or one for each variable.
    return_state : bool, optional
        Keep what it takes to go on with the runs.
    **options
        Further options of `minimize_rprop` or `minimize_batch`. By default `delta0` of sampled
        starts is a tenth of their distance, ``range / n_starts ** (1 / n)``: a long first step
        would leave the minimum that is near.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x`, `fun`, `jac`, `nit`, `status`, `success` and `message` of the best run, and `nfev` and
        `njev` of all runs together. `xl` (n_minima, n) and `funl` (n_minima,) are the distinct
        minima that runs with success found, lowest first; `n_minima` is their number.

        `runs` is an OptimizeResult of all runs, best first: `x` and `jac` (n_starts, n), `fun`,
        `nit`, `nfev`, `njev`, `status`, `success` and `message`; `x0` (n_starts, n), the start of
        each; `minimum`, which of the minima it found, or -1 without success.

        `history`, `allvecs` and `state` are those of the best run, if asked for, and in `runs`
        a list of those of all. `minimize_rprop` goes on with such a state.

    Raises
    ------
    ValueError, TypeError
        If an argument is unusable, or a map-like `workers` lost results. Exceptions of `fun` and
        `callback` propagate, and carry what was found in their attribute ``result``.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop import multistart
    >>> def wells(x):  # minima near -1 and 1, the first one lower
    ...     return ((x**2 - 1) ** 2 + 0.1 * x).sum(), 4 * x * (x**2 - 1) + 0.1
    >>> result = multistart(wells, [(-2, 2)], 16, jac=True, rng=0)
    >>> result.x.round(1)
    array([-1.])
    >>> result.n_minima
    2
    """
    check(options, "many" if vectorized else "one")
    if bounds is not None and not hasattr(bounds, "lb"):
        bounds = list(bounds)  # it may be an iterator
    if X0 is not None:
        starts = given(X0, n_starts)
    else:
        starts, width = sample(bounds, n_starts, rng, sampling)
        delta0 = options.get("delta0")
        if delta0 is None or (isinstance(delta0, str) and delta0 == "auto"):
            options["delta0"] = 0.1 * width * len(starts) ** (-1 / max(1, width.size))
    distance = tolerances("separation", separation)
    distance = checks.broadcast("separation", np.asarray(distance), starts.shape[1:])
    keep, disp = flag("return_state", return_state), options.pop("disp", False)
    distance, workers = distance * span(starts), processes("workers", workers)
    options |= {"args": args, "bounds": bounds, "callback": callback}
    found: list[OptimizeResult] = []
    try:
        if vectorized:
            if workers != 1:
                raise ValueError(f"workers must be 1 if fun is vectorized; got {workers!r}")
            options |= {"jac": True if jac is None else jac, "in_axes": None, "return_state": keep}
            runs = minimize_batch(fun, starts, **options)
        else:
            progress = flag("progress", options.pop("progress", False))
            task = Task(fun, keep, options | {"jac": jac})
            run_all(task, starts, workers, found, progress)
            runs = stack(found)
    except BaseException as error:
        last = getattr(error, "result", None)  # of the batch, or of the run that ended so
        if not vectorized:
            found += [last] if isinstance(last, Result) else []
            last = stack(found) if found else None
        with suppress(AttributeError):  # some exceptions have no room for it
            error.result = (  # type: ignore[attr-defined]
                None if last is None else describe(last, starts, distance)
            )
        raise
    result = describe(runs, starts, distance)
    if disp:
        announce(result)
    return result


def check(options: dict[str, Any], door: str) -> None:
    """Refuse options that mean nothing here."""
    if "state" in options:
        raise ValueError(
            "state cannot be given, as multistart starts anew: go on from result.state with "
            "minimize_rprop, or with each of result.runs.state"
        )
    extra = ["keep_shape"] if door == "many" else []
    if names := unknown(options, [*defaults(door), *extra]):
        raise TypeError(f"multistart got unknown options: {names}")


class Task:
    """One run; a class, so that processes can have it."""

    def __init__(self, fun: Callable[..., Any], keep: bool, options: dict[str, Any]) -> None:
        self.fun, self.keep, self.options = fun, keep, options

    def __call__(self, x0: Array) -> OptimizeResult:
        """Minimise from a start."""
        try:
            result = minimize_rprop(self.fun, x0, **self.options)
        except StopIteration as error:  # which would end the map
            told = RuntimeError("fun raised StopIteration, which ends a search only from callback")
            told.result = getattr(error, "result", None)  # type: ignore[attr-defined]
            raise told from error
        if not self.keep:
            del result.state
        return result


def run_all(
    task: Task, starts: Array, workers: Any, found: list[OptimizeResult], progress: bool
) -> None:
    """Run from every start in turn, until a callback ends the search; fill `found`."""
    bar = Bar(len(starts), "start") if progress else None
    try:
        with mapping(workers) as mapper:
            for result in mapper(task, starts):
                found.append(result)
                if bar is not None:
                    bar.update(min(one.fun for one in found))
                if result.status == 99:
                    return
    finally:
        if bar is not None:
            bar.close()
    if len(found) != len(starts):
        raise ValueError(
            f"workers must return a result for each of {len(starts)} starts; got {len(found)}"
        )


@contextmanager
def mapping(workers: Any) -> Iterator[Callable[..., Any]]:
    """Give the map that `workers` is or stands for."""
    if callable(workers):
        yield workers
    elif workers == 1:
        yield map
    else:
        with multiprocessing.Pool(None if workers == -1 else int(workers)) as pool:
            yield pool.imap


def stack(found: list[OptimizeResult]) -> OptimizeResult:
    """Put results of single runs together as those of a batch are."""
    names = (*BEST, "nfev", "njev")
    runs = Result({name: np.array([one[name] for one in found]) for name in names})
    runs.message = runs.message.astype(object)
    for name in LISTS:
        if name in found[0]:
            runs[name] = [one[name] for one in found]
    return runs


def part(state: tuple[Run, ...]) -> list[Run]:
    """Take the state of a batch apart into those of its rows."""
    rows = {
        int(index): rebuild(lambda values, row=row: values[row].copy(), block)
        for block in state
        for row, index in enumerate(block.index)
    }
    return [replace(rows[number], index=np.zeros((), int)[()]) for number in range(len(rows))]


def describe(runs: OptimizeResult, starts: Array, distance: Array) -> OptimizeResult:
    """Sort all runs, and describe the best one and the minima."""
    if isinstance(state := runs.get("state"), tuple):
        runs.state = part(state)
    order = np.argsort(np.where(np.isfinite(runs.fun), runs.fun, np.nan), kind="stable")
    runs = Result(
        {
            name: [values[i] for i in order] if name in LISTS else values[order]
            for name, values in runs.items()
        }
    )
    runs.x0 = starts[order]
    runs.minimum = label(runs.x, runs.success, distance)
    result = Result({name: runs[name][0] for name in BEST})
    for name in ("fun", "nit", "status", "success"):
        result[name] = result[name].item()
    result.x, result.jac = result.x.copy(), result.jac.copy()
    result.nfev, result.njev = int(runs.nfev.sum()), int(runs.njev.sum())
    first = np.flatnonzero(np.diff(np.maximum.accumulate(runs.minimum), prepend=-1))
    result.xl, result.funl, result.n_minima = runs.x[first], runs.fun[first], len(first)
    for name in LISTS:
        if name in runs:
            result[name] = runs[name][0]
    result.runs = runs
    return result


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


def sample(bounds: Any, n_starts: int | None, rng: Any, sampling: str) -> tuple[Array, Array]:
    """Draw starts between bounds; return also how far these are apart."""
    count = 64 if n_starts is None else n_starts
    if not np.issubdtype(type(count), np.integer) or count < 1:
        raise ValueError(f"n_starts must be a positive integer; got {n_starts!r}")
    if sampling not in SAMPLES:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLES)}; got {sampling!r}")
    if bounds is None:
        raise ValueError("bounds or X0 must be given; got neither")
    size = np.broadcast(bounds.lb, bounds.ub).size if hasattr(bounds, "lb") else len(bounds)
    lower, upper = as_box(bounds, np.zeros(size))
    if not (np.isfinite(lower) & np.isfinite(upper)).all():
        raise ValueError(f"bounds must be finite unless X0 is given; got {bounds!r}")
    try:
        rng = np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise TypeError(
            f"rng must be None, a number that is not negative, or a numpy.random.Generator; got {rng!r}"
        ) from None
    engine = SAMPLES[sampling](size, rng=rng)
    if sampling == "sobol":  # drawn in full, it is balanced
        unit = engine.random_base2(int(count - 1).bit_length())[:count]
    else:
        unit = engine.random(count)
    # Of halves, as the whole may be more than a float holds; those of the least floats are 0.
    starts = 2 * (lower / 2 + unit * (upper / 2 - lower / 2))
    return np.clip(starts, lower, upper), apart(lower, upper)


def span(starts: Array) -> Array:
    """Return the range of the starts in each variable; 1 where they agree."""
    return apart(starts.min(axis=0), starts.max(axis=0))


def apart(low: Array, high: Array) -> Array:
    """Return a finite distance; 1 where it is 0."""
    with np.errstate(over="ignore"):
        width = np.minimum(high - low, np.finfo(low.dtype).max)
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
