"""Many independent problems in one array."""

from __future__ import annotations

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
from rprop.solver.options import checked, configure, defaults, documented, flag, unknown
from rprop.solver.progress import Bar
from rprop.solver.result import Result, style
from rprop.solver.rows import Rows
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
    jac: Any = True,
    in_axes: Any = "auto",
    keep_shape: bool = False,
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
        several blocks of rows. With a callable `jac`, ``fun(X, *args) -> losses``.
    X0 : array_like, shape (m, n)
        The starts. float32 and longdouble are kept; everything else becomes float64.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    bounds : sequence of (low, high) or scipy.optimize.Bounds, optional
        Limits of the variables. Those of `Bounds` may have any shape that broadcasts to (m, n).
    callback : callable, optional
        Called after every iteration as ``callback(X)``, or as
        ``callback(intermediate_result=...)`` if that is the name of its one parameter, with the
        best points so far of all rows. Raising StopIteration ends what still runs with status 99;
        rows that have ended keep their status.
    jac : callable or True, optional
        ``jac(X, *args) -> gradients``; True if `fun` returns them as well.
    in_axes : 0, None or tuple of these, optional
        Which of `args` hold one entry for each problem along their first axis (0), and which all
        problems share (None), as in `jax.vmap`. `fun` gets the entries of the rows of `X`, copied:
        of arrays, lists, pandas objects, or of every value of a dict. By default all are
        shared, and one with m > 1 entries, which could mean either, is an error.
    keep_shape : bool, optional
        Always call `fun` with the same number of rows, of which those at the end repeat the first
        one and are ignored, so that `jax.jit` compiles once. It is m, or as many as make a block.
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
    Three parabolas, each with a curvature of its own:

    >>> import numpy as np
    >>> from rprop import minimize_batch
    >>> def parabolas(X, curvature):
    ...     return curvature * (X[:, 0] - 1) ** 2, 2 * curvature[:, None] * (X - 1)
    >>> curvature = np.array([1.0, 4.0, 1e6])
    >>> X0 = [[3.0], [2.0], [-5.0]]
    >>> result = minimize_batch(parabolas, X0, (curvature,), in_axes=0)
    >>> result.success
    array([ True,  True,  True])
    >>> result.x[:, 0].round(3)
    array([1., 1., 1.])
    """
    if names := unknown(options, defaults("many")):
        raise TypeError(f"minimize_batch got unknown options: {names}")
    given = checked(options, "many")
    X, lower, upper = rows_of(X0, bounds) if state is None else held_by(state)
    settings = configure(given, X, limit_anything(lower, upper), 1)
    size = max(1, BLOCK // max(X.shape[1], 1))
    evaluate = Rows(
        fun,
        jac,
        args if isinstance(args, tuple) else (args,),
        in_axes,
        X.shape,
        X.dtype,
        min(size, len(X)) if flag("keep_shape", keep_shape) else 0,
    )
    history = History(len(X), history=given["history"], return_all=given["return_all"])
    batch = Batch(X.shape, X.dtype, size, history, flag("return_state", return_state))
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
        if batch.started == len(index):
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
    if isinstance(state, Run):
        raise TypeError(
            "state must be the state of a batch; got that of one run, which minimize_rprop goes on with"
        )
    if not isinstance(state, BatchState):
        raise TypeError(
            f"state must be the state of an earlier result; got {state!r}. It is result.state of "
            "minimize_batch(..., return_state=True), whole and as it is"
        )
    index = np.concatenate([run.index for run in state])
    x = state[0].here.x[:1]
    X = np.broadcast_to(x, (len(index), x.shape[1]))
    bounded = any(limit_anything(run.lower, run.upper) for run in state)
    side = np.zeros_like(X) if bounded else np.full_like(X, np.inf)
    return X, -side, side


class BatchState(tuple[Run, ...]):
    """The runs of all rows of one result; a part of it, or a sum of two, is a mere tuple."""

    __slots__ = ()


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

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        size: int,
        history: History,
        keep: bool,
    ) -> None:
        self.size, self.history, self.keep = size, history, keep
        self.runs: list[Run] = []
        self.ended: list[Run] = []  # if they are to be kept
        self.started = 0
        self.shape, self.dtype = shape, dtype
        self.done: list[Summary] = []
        self.found: Result | None = None  # where those before were written down

    def add(self, run: Run) -> None:
        """Take on a block of rows."""
        self.history.add(run, run.nfev)
        self.runs.append(run)
        self.started += len(run.index)

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

    def loss(self) -> float:
        """Return the median of the best losses of the rows that run."""
        return float(np.median(np.concatenate([run.best.fun for run in self.runs])))

    def note(self) -> OptimizeResult:
        """Write down once what became of rows that ended; arrays for it are made when needed."""
        if self.found is None:
            count, kinds = self.shape[0], {"nit": int, "nfev": int, "status": int}
            self.found = Result(
                x=np.empty(self.shape, self.dtype),
                fun=np.empty(count),
                jac=np.empty(self.shape, np.result_type(self.dtype, float)),
                **{name: np.empty(count, kind) for name, kind in kinds.items()},
            )
        for part in self.done:
            write(self.found, part)
        self.done = []
        return self.found

    def result(self, running: int = RUNNING, whole: bool = True) -> OptimizeResult:
        """Describe all rows by their best points; rows that run have the given status."""
        result = self.note()
        if not whole:  # of a batch that goes on
            result = Result({name: values.copy() for name, values in result.items()})
        for run in self.runs:
            write(result, summary(run))
        status = result.status
        status[status == RUNNING] = running
        result.njev = result.nfev.copy()
        result.success = np.zeros(len(status), bool)
        result.message = np.empty(len(status), object)
        for code in np.unique(status):
            rows = np.flatnonzero(status == code)
            result.success[rows], result.message[rows], _ = OUTCOMES[code]
        if whole:
            self.history.fill(result)
        if whole and self.keep:
            result.state = BatchState([*self.ended, *(run.snapshot() for run in self.runs)])
        return result


def summary(run: Run) -> Summary:
    """Keep what a result tells of rows."""
    nit = np.full(run.index.shape, run.nit)
    return Summary(run.index, *run.best, nit, run.nfev, run.status)


def write(result: OptimizeResult, part: Summary) -> None:
    """Write what is kept of rows into the result of all."""
    for name, values in zip(Summary._fields[1:], part[1:], strict=True):
        result[name][part.rows] = values


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
