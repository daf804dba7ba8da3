"""Many independent problems in one array."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, OptimizeWarning

from rprop.rule import checks
from rprop.rule.state import Array
from rprop.solver.bounds import as_box, limit_anything
from rprop.solver.engine import advance, begin, resume
from rprop.solver.history import History
from rprop.solver.messages import say, warn
from rprop.solver.minimizer import NEW_LOSS, floats
from rprop.solver.options import checked, configure, defaults, documented, unknown
from rprop.solver.progress import Bar
from rprop.solver.result import Result, snapshot, style
from rprop.solver.run import Point, Run, Settings, join
from rprop.solver.stopping import OUTCOMES, RUNNING

__all__ = ["minimize_batch"]

BLOCK = 2**15  # coordinates that advance together, so that temporary arrays stay small


@documented("many")
def minimize_batch(
    fun: Callable[..., Any],
    X0: ArrayLike,
    args: Any = (),
    bounds: Any = None,
    callback: Callable[..., Any] | None = None,
    *,
    state: Any = None,
    return_state: bool = False,
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
    return_state : bool, optional
        Keep in ``result.state`` what it takes to go on. The memory needed doubles at the most.
    state : optional
        ``result.state`` of an earlier call to go on with; rows that had ended go on, too, if the
        options let them. The best point of each row is evaluated once more, as `minimize_rprop`
        does it. `X0` and `bounds` are ignored then.
    {options}

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` and `jac` of shape (m, n); `fun`, `nit`, `nfev`, `njev`, `status`, `success` and
        `message` of shape (m,); `history`, `allvecs` and `state` if asked for. A row whose loss
        or gradient is not finite at the start has status 3; no row disturbs another.

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
    if names := unknown(options, defaults("many")):
        raise TypeError(f"minimize_batch got unknown options: {names}")
    given = checked(options, "many")
    X, lower, upper = rows_of(X0, bounds) if state is None else held_by(state)
    settings = configure(given, X, limit_anything(lower, upper), 1)
    evaluate = Rows(fun, args if isinstance(args, tuple) else (args,), X.shape, X.dtype)
    history = History(len(X), history=given["history"], return_all=given["return_all"])
    batch = Batch(max(1, BLOCK // max(X.shape[1], 1)), history, return_state)
    call = style(callback)
    bar = Bar() if given["progress"] else None
    deadline = time.monotonic() + given["maxtime"]
    index = np.arange(len(X), dtype=np.int32)
    ended = RUNNING
    try:
        if state is None:
            delta = settings.delta0
            if delta is not None:
                delta = checks.delta_zero(delta, X.shape, X.dtype)
            for first in range(0, len(X), batch.size):
                rows = slice(first, first + batch.size)
                x = np.clip(X[rows], lower[rows], upper[rows])
                start = Point(x, *evaluate(index[rows], x)), lower[rows], upper[rows]
                delta0 = None if delta is None else delta[rows]
                batch.add(begin(index[rows], *start, delta0, settings))
            del X, lower, upper, delta, start, delta0, x  # the runs have them
        else:
            batch.resume(state, evaluate, settings)
        batch.compact()
        while batch.runs:
            batch.advance(evaluate, settings)
            if bar is not None:
                bar.update(batch.loss())
            batch.compact()
            try:
                if call is not None:
                    call(batch.result(whole=False))
            except StopIteration:  # of the callback, not of fun
                ended = 99
                break
            if time.monotonic() > deadline:
                ended = 13
                break
    except BaseException as error:
        if batch.count() == len(index):  # every row has been started
            with suppress(AttributeError):  # some exceptions have no room for it
                error.result = batch.result()  # type: ignore[attr-defined]
        raise
    finally:
        if bar is not None:
            bar.close()
    result = batch.result(ended)
    if given["disp"]:
        announce(result)
    return result


def rows_of(X0: ArrayLike, bounds: Any) -> tuple[Array, Array, Array]:
    """Check the starts and their bounds."""
    X = floats("X0", checks.real("X0", X0))
    if X.ndim != 2 or not len(X):
        raise ValueError(
            f"X0 must hold at least one problem in an array of shape (m, n); got shape {X.shape}"
        )
    return X, *as_box(bounds, X)


def held_by(state: Any) -> tuple[Array, Array, Array]:
    """Check the state of an earlier call; of its points only shape and dtype matter."""
    if not isinstance(state, tuple) or not state or not isinstance(state[0], Run):
        hint = ""
        if isinstance(state, Run):
            hint = ", which is that of one run: minimize_rprop goes on with it"
        raise TypeError(f"state must be the state of an earlier result; got {state!r}{hint}")
    index = np.concatenate([np.atleast_1d(run.index) for run in state])
    if not np.array_equal(np.sort(index), np.arange(len(index))):
        raise ValueError(
            f"state must hold every row of one earlier result; got rows {np.sort(index).tolist()}"
        )
    x = state[0].here.x[:1]
    X = np.broadcast_to(x, (len(index), x.shape[1]))
    bounded = any(limit_anything(run.lower, run.upper) for run in state)
    side = np.zeros_like(X) if bounded else np.full_like(X, np.inf)
    return X, -side, side


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

    def __call__(self, index: Array, x: Array) -> tuple[Array, Array]:
        """Evaluate at the points `x` of the problems `index`."""
        cut: Any = functools.partial(np.take, indices=index, axis=0)
        if (index[1:] - index[:-1] == 1).all():
            cut = operator.itemgetter(slice(index[0], index[-1] + 1))  # without copying
        args = [
            cut(arg) if isinstance(arg, np.ndarray) and arg.shape[:1] == (self.count,) else arg
            for arg in self.args
        ]
        both = self.fun(x.copy(), *args)
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

    def __init__(self, size: int, history: History, keep: bool) -> None:
        self.size, self.history, self.keep = size, history, keep
        self.runs: list[Run] = []
        self.done: list[Summary] = []
        self.ended: list[Run] = []  # if they are to be kept

    def add(self, run: Run) -> None:
        """Take on a block of rows."""
        self.history.add(run, run.nfev)
        self.runs.append(run)

    def advance(self, evaluate: Rows, settings: Settings) -> None:
        """Take one step with every row."""
        for run in self.runs:
            advance(run, evaluate, settings)
            self.history.add(run, run.nfev)

    def resume(self, state: tuple[Run, ...], evaluate: Rows, settings: Settings) -> None:
        """Take on the blocks of an earlier call."""
        differ = False
        for old in state:
            x = old.best.x
            run, changed = resume(old, Point(x, *evaluate(old.index, x)), settings)
            differ = differ or bool(changed.any())
            self.add(run)
        if differ:
            warn(NEW_LOSS, RuntimeWarning)

    def compact(self) -> None:
        """Drop rows that have ended, and join blocks that have become small."""
        waiting, self.runs = self.runs[::-1], []  # so that no more than one block is there twice
        groups: list[list[Run]] = []
        while waiting:
            run = self.drop(waiting.pop())
            if groups and self.fits(run, groups[-1]):
                groups[-1].append(run)
            elif run.index.size:
                groups.append([run])
        groups.reverse()
        while groups:
            group = groups.pop()
            self.runs.append(join(*group) if len(group) > 1 else group[0])

    def fits(self, run: Run, group: list[Run]) -> bool:
        """Tell whether a block may be joined with others; first steps are not like later ones."""
        size = sum(len(other.index) for other in (run, *group))
        return size <= self.size and bool(run.age.any() == group[0].age.any())

    def drop(self, run: Run) -> Run:
        """Return the rows that run, and keep what became of the others."""
        ended = run.status != RUNNING
        if not ended.any():
            return run
        rows = np.flatnonzero(ended)
        if self.keep:
            self.ended.append(run.take(rows))
        self.done.append(Summary(*(part.take(rows, axis=0) for part in summary(run))))
        return run.take(np.flatnonzero(~ended))

    def count(self) -> int:
        """Count all rows."""
        return sum(len(part.nfev) for part in self.done) + sum(len(run.nfev) for run in self.runs)

    def loss(self) -> float:
        """Return the median of the best losses of the rows that run."""
        return float(np.median(np.concatenate([run.best.fun for run in self.runs])))

    def result(self, running: int = RUNNING, whole: bool = True) -> OptimizeResult:
        """Describe all rows by their best points; rows that run have the given status."""
        parts = [*self.done, *map(summary, self.runs)]
        result = Result()
        for name in Summary._fields[1:]:
            columns = [getattr(part, name) for part in parts]
            result[name] = np.empty((self.count(), *columns[0].shape[1:]), columns[0].dtype)
            for part, column in zip(parts, columns, strict=True):
                result[name][part.rows] = column
        result.njev = result.nfev.copy()
        result.status[result.status == RUNNING] = running
        result.success = np.zeros(self.count(), bool)
        result.message = np.empty(self.count(), object)
        for code in np.unique(result.status):
            rows = np.flatnonzero(result.status == code)
            result.success[rows], result.message[rows], _ = OUTCOMES[code]
        if whole:
            self.history.fill(result)
        if whole and self.keep:
            result.state = (*self.ended, *map(snapshot, self.runs))
        return result


def summary(run: Run) -> Summary:
    """Keep what a result tells of rows."""
    nit = np.full(run.index.shape, run.nit)
    return Summary(run.index, *run.best, nit, run.nfev.astype(int), run.status.astype(int))


def announce(result: OptimizeResult) -> None:
    """Print how many rows ended in which way, or warn that none succeeded."""
    lines = [
        f"{np.count_nonzero(result.status == code)} of {len(result.status)}: {OUTCOMES[code].message}"
        for code in np.unique(result.status)
    ]
    if not result.success.any():
        warn("; ".join(lines), OptimizeWarning)
        return
    say("\n".join(lines))
