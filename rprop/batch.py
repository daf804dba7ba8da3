"""Many independent problems in one array."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, OptimizeWarning

from rprop import checks
from rprop.engine import OUTCOMES, RUNNING, Run, Settings, advance, begin
from rprop.minimize import box, configure, floats
from rprop.record import Bar, style

Array = NDArray[Any]

__all__ = ["minimize_batch"]

BLOCK = 2**15  # coordinates that advance together, so that temporary arrays stay small


def minimize_batch(
    fun: Callable[..., Any],
    X0: ArrayLike,
    args: Any = (),
    bounds: Any = None,
    callback: Callable[..., Any] | None = None,
    *,
    progress: bool = False,
    disp: bool = False,
    **options: Any,
) -> OptimizeResult:
    """Minimise many independent functions of the same number of variables at once.

    Each problem is a row of an array. It stops by its own criteria, and its result is bit for bit
    the one that `minimize_rprop` gives for that row alone, as long as `fun` computes a row the
    same way in any company.

    Parameters
    ----------
    fun : callable
        ``fun(X, *args) -> (losses, gradients)`` of the rows that are still running: `X` has shape
        (k, n), the losses (k,) and the gradients (k, n). More than 32768 coordinates come in
        several blocks of rows.
    X0 : array_like, shape (m, n)
        The starts. float32 and longdouble are kept; everything else becomes float64.
    args : tuple, optional
        Further arguments of `fun`. Arrays with a leading axis of m are cut to the same rows.
    bounds : sequence of (low, high) or scipy.optimize.Bounds, optional
        Limits of the variables. Those of `Bounds` may have any shape that broadcasts to (m, n).
    callback : callable, optional
        Called after every iteration as ``callback(X)``, or as
        ``callback(intermediate_result=...)`` if that is the name of its one parameter, with the
        best points so far of all rows. Raising StopIteration ends what still runs with status 99.
    progress : bool, optional
        Show a progress bar on standard error, of tqdm where that is installed; the loss shown is
        the median of the rows that still run.
    disp : bool, optional
        Print how many rows ended in which way; warn instead if none succeeded.
    **options
        `tol`, `variant`, `etas`, `step_sizes`, `delta0`, `gtol`, `xtol`, `ftol`, `f_target`,
        `maxiter`, `maxfev`, `basis` and `safeguard` as in `minimize_rprop`; the limits are those
        of each row. `delta0` may have any shape that broadcasts to (m, n).

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` and `jac` of shape (m, n); `fun`, `nit`, `nfev`, `njev`, `status`, `success` and
        `message` of shape (m,). A row whose loss or gradient is not finite at the start has
        status 3; no row disturbs another.

    Raises
    ------
    ValueError, TypeError
        If an argument or something that `fun` returned is unusable; the message names it.
        Exceptions of `fun` and `callback` propagate, and carry the result so far in their
        attribute ``result``.

    Examples
    --------
    Three parabolas, of which the second has no minimum:

    >>> import numpy as np
    >>> from rprop import minimize_batch
    >>> def parabolas(X, curvature):
    ...     return curvature * (X[:, 0] - 1) ** 2, 2 * curvature[:, None] * (X - 1)
    >>> curvature = np.array([1.0, -1.0, 1e6])
    >>> result = minimize_batch(parabolas, [[3.0], [2.0], [-5.0]], (curvature,), maxiter=200)
    >>> result.success
    array([ True, False,  True])
    >>> result.x[[0, 2], 0].round(3)
    array([1., 1.])
    """
    X = floats("X0", checks.real("X0", X0))
    if X.ndim != 2 or not len(X):
        raise ValueError(
            f"X0 must hold at least one problem in an array of shape (m, n); got shape {X.shape}"
        )
    lower, upper = box(bounds, X)
    bounded = bool((lower > -np.inf).any() or (upper < np.inf).any())
    settings, delta, learned = configure(X, bounded, 1, **options)
    evaluate = Rows(fun, args if isinstance(args, tuple) else (args,), X.shape, X.dtype)
    batch = Batch(max(1, BLOCK // max(X.shape[1], 1)))
    call = style(callback)
    bar = Bar(settings.maxiter) if progress else None
    status = RUNNING
    try:
        for rows in batch.slices(len(X)):
            first = delta if isinstance(delta, str) else delta[rows]
            evaluate.first = rows.start
            run = begin(evaluate, X[rows], lower[rows], upper[rows], first, learned, settings)
            batch.add(run, rows.start)
        evaluate.first = 0
        del X, lower, upper, delta  # the runs have them
        while batch.runs:
            batch.advance(evaluate, settings)
            if bar is not None:
                bar.update(batch.loss())
            batch.compact()
            if call is not None:
                call(batch.result())
    except StopIteration:
        status = 99
    except BaseException as error:
        if not evaluate.first and batch.runs:  # every row has been started
            with suppress(AttributeError):  # some exceptions have no room for it
                error.result = batch.result()  # type: ignore[attr-defined]
        raise
    finally:
        if bar is not None:
            bar.close()
    result = batch.result(status)
    if disp:
        announce(result)
    return result


class Rows:
    """Losses and gradients of some of m problems."""

    def __init__(
        self,
        fun: Callable[..., Any],
        args: tuple[Any, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        if not callable(fun):
            raise TypeError(f"fun must be callable; got {fun!r}")
        self.fun, self.args, self.count = fun, args, shape[0]
        self.dtype = np.result_type(dtype, np.float64)  # float32 would lose tiny gradients
        self.first = 0  # which row has index 0

    def __call__(self, index: Array, x: Array) -> tuple[Array, Array]:
        """Evaluate at the points `x` of the problems `index`."""
        rows: Any = index + self.first
        if rows[-1] - rows[0] == len(rows) - 1:
            rows = slice(rows[0], rows[-1] + 1)  # cuts without copying
        cut = [
            arg[rows] if isinstance(arg, np.ndarray) and arg.shape[:1] == (self.count,) else arg
            for arg in self.args
        ]
        both = self.fun(x.copy(), *cut)
        try:
            losses, gradients = map(np.asarray, both)
        except (TypeError, ValueError):
            raise ValueError(f"fun must return (losses, gradients); got {both!r}") from None
        if losses.shape != x.shape[:1] or gradients.shape != x.shape:
            raise ValueError(
                f"fun must return losses of shape {x.shape[:1]} and gradients of shape {x.shape} "
                f"for {len(x)} rows; got shapes {losses.shape} and {gradients.shape}"
            )
        for name, array in {"losses": losses, "gradients": gradients}.items():
            if array.dtype.kind not in "biuf":
                raise TypeError(f"fun must return real {name}; got dtype {array.dtype}")
        return losses.astype(np.float64), gradients.astype(self.dtype, order="C")


class Summary(NamedTuple):
    """What is kept of rows."""

    rows: Array
    x: Array
    fun: Array
    jac: Array
    nit: Array
    nfev: Array
    status: Array


class Batch:
    """Rows that run, in blocks, and what became of the others."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.runs: list[Run] = []
        self.done: list[Summary] = []

    def slices(self, count: int) -> list[slice]:
        """Divide rows into blocks."""
        return [slice(start, start + self.size) for start in range(0, count, self.size)]

    def add(self, run: Run, first: int) -> None:
        """Take on a block of rows."""
        run.index = run.index + first
        self.runs.append(run)
        self.compact()

    def advance(self, evaluate: Rows, settings: Settings) -> None:
        """Take one step with every row."""
        for run in self.runs:
            advance(run, evaluate, settings)

    def compact(self) -> None:
        """Drop rows that have ended, and join blocks that have become small."""
        runs: list[Run] = []
        for run in self.runs:
            ended = run.status != RUNNING
            if ended.any():
                self.done.append(summary(run.take(np.flatnonzero(ended))))
                run = run.take(np.flatnonzero(~ended))  # noqa: PLW2901
            if runs and len(runs[-1].index) + len(run.index) <= self.size:
                runs[-1] = join([runs[-1], run])
            else:
                runs.append(run)
        self.runs = [run for run in runs if run.index.size]

    def loss(self) -> float:
        """Return the median of the best losses of the rows that run."""
        return float(np.median(np.concatenate([run.best.fun for run in self.runs])))

    def result(self, running: int = RUNNING) -> OptimizeResult:
        """Describe all rows by their best points; rows that run have the given status."""
        parts = [*self.done, *map(summary, self.runs)]
        index = np.concatenate([part.rows for part in parts])
        whole = Summary(
            *(np.concatenate(column)[np.argsort(index)] for column in zip(*parts, strict=True))
        )
        status = np.where(whole.status == RUNNING, running, whole.status)
        codes = {code: np.flatnonzero(status == code) for code in np.unique(status)}
        success, message = np.zeros(len(status), bool), np.empty(len(status), object)
        for code, rows in codes.items():
            success[rows], message[rows] = OUTCOMES[code]
        return OptimizeResult(
            x=whole.x,
            fun=whole.fun,
            jac=whole.jac,
            nit=whole.nit,
            nfev=whole.nfev,
            njev=whole.nfev.copy(),
            status=status,
            success=success,
            message=message,
        )


def summary(run: Run) -> Summary:
    """Keep what a result tells of rows."""
    nit = np.full(run.index.shape, run.nit)
    return Summary(run.index, *run.best[:3], nit, run.nfev, run.status)


def join(runs: Sequence[Run]) -> Run:
    """Make one block of several."""

    def stack(*values: Any) -> Any:
        if isinstance(values[0], tuple):
            return type(values[0])(*map(stack, *values))
        return np.concatenate(values) if isinstance(values[0], np.ndarray) else values[0]

    return Run(*(stack(*(getattr(run, item.name) for run in runs)) for item in fields(Run)))


def announce(result: OptimizeResult) -> None:
    """Print how many rows ended in which way, or warn that none succeeded."""
    lines = [
        f"{np.count_nonzero(result.status == code)} of {len(result.status)}: {OUTCOMES[code].message}"
        for code in np.unique(result.status)
    ]
    if not result.success.any():
        warnings.warn("; ".join(lines), OptimizeWarning, stacklevel=3)
        return
    print("\n".join(lines))
