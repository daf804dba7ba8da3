"""Ask and tell: the loop of a minimisation, turned inside out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from rprop.rule import checks
from rprop.rule.state import Array
from rprop.solver.bounds import as_box, free_slope, limit_anything
from rprop.solver.engine import Trial, absorb, begin, propose, resume, searches
from rprop.solver.history import History
from rprop.solver.messages import warn
from rprop.solver.options import checked, configure, defaults, documented, unknown
from rprop.solver.per_run import largest_magnitude
from rprop.solver.result import describe_run
from rprop.solver.run import Point, Run
from rprop.solver.stopping import RUNNING

__all__ = ["Minimizer"]

NEW_LOSS = (
    "The loss at the best point is not the one in `state`: step sizes are kept, "
    "losses and the best point are not."
)


@documented("ask")
class Minimizer:
    """Minimise a function that somebody else evaluates.

    ``ask()`` returns the next point at which loss and gradient are wanted, ``tell()`` takes them.
    The points are, bit for bit, those at which `minimize_rprop` would evaluate.

    Parameters
    ----------
    x0 : array_like, shape (n,)
        The start. float32 and longdouble are kept; everything else becomes float64.
    bounds : sequence of (low, high) or scipy.optimize.Bounds, optional
        Limits of the variables; no point outside is ever asked for.
    state : optional
        ``result.state`` of an earlier run to go on with; `x0` and `bounds` are ignored then.
    {options}

    Attributes
    ----------
    done : bool
        Whether the run has ended, so that nothing more is asked for.
    result : scipy.optimize.OptimizeResult
        What is known by now, as from `minimize_rprop`.

    Raises
    ------
    ValueError, TypeError
        If an argument is unusable; the message names it.
    RuntimeError
        If `tell` is called before `ask`, or `result` before the first `tell`.

    Notes
    -----
    A `Minimizer` can be pickled at any time, also between `ask` and `tell`.

    Examples
    --------
    >>> from rprop import Minimizer
    >>> opt = Minimizer([3.0, -2.0])
    >>> while (x := opt.ask()) is not None:
    ...     opt.tell((x**2).sum(), 2 * x)
    >>> opt.result.success
    True
    """

    def __init__(
        self, x0: ArrayLike | None, bounds: Any = None, *, state: Run | None = None, **options: Any
    ) -> None:
        if names := unknown(options, defaults("ask")):
            raise TypeError(f"Minimizer got unknown options: {names}")
        x, lower, upper = place(x0, bounds, state)
        self._open(x, lower, upper, 1, checked(options, "ask"), state)

    def _open(
        self, x: Array, lower: Array, upper: Array, cost: int, given: dict[str, Any], state: Any
    ) -> None:
        self._settings = configure(given, x, limit_anything(lower, upper), cost)
        self._start = x, lower, upper
        self._old = state
        self._run: Run | None = None
        self._trial: Trial | None = None
        self._history = History(1, history=given["history"], return_all=given["return_all"])
        self._nfev = self._njev = 0
        self._unknown = np.zeros(x.size, bool)
        self._began, self._maxtime = time.monotonic(), given["maxtime"]
        self._spent = 0.0
        self._watch: Callable[[Run], None] | None = None

    @classmethod
    def _of(cls, objective: Any, place: Any, given: dict[str, Any], state: Any) -> Minimizer:
        """Make the one that `minimize_rprop` runs."""
        self = cls.__new__(cls)
        x, lower, upper = place
        self._open(x, lower, upper, objective.cost, given, state)
        self._unknown = objective.unknown
        return self

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_spent": self._elapsed()}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept)
        self._began = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self._run is not None and self._run.status != RUNNING

    def ask(self) -> Array | None:
        """Return the next point at which loss and gradient are wanted; None once the run has ended.

        Asked again before `tell`, it is the same point.
        """
        x = self._next()
        return None if x is None else x.copy()

    def tell(self, loss: Any, gradient: ArrayLike) -> None:
        """Take loss and gradient at the point last asked for.

        Parameters
        ----------
        loss : float
        gradient : array_like, shape (n,)
        """
        if self._run is not None and self._trial is None:
            raise RuntimeError("tell must follow ask: no point has been asked for")
        array = checks.real("gradient", gradient)
        if array.shape != self._start[0].shape:
            raise ValueError(
                f"gradient must have the shape of x0, {self._start[0].shape}; got {array.shape}"
            )
        value = checks.real("loss", loss)
        if value.size != 1:
            raise ValueError(f"loss must be a number; got shape {value.shape}")
        self._take(value.item(), array.astype(np.result_type(self._start[0], float)), 1)

    @property
    def result(self) -> OptimizeResult:
        """What is known by now."""
        result, run = self._describe(), self._run
        assert run is not None
        self._history.fill(result)
        result.state = run if self.done else run.snapshot()
        return result

    def _next(self) -> Array | None:
        """Go on until a point must be evaluated."""
        run = self._run
        if run is None:
            return self._start[0] if self._old is None else self._old.best.x
        while self._trial is None and run.status == RUNNING:
            trial = propose(run, self._settings)
            if trial.new:
                self._trial = trial
            else:
                self._absorb(trial, trial.known._replace(x=trial.x))
        return None if self._trial is None else self._trial.x

    def _take(self, loss: float, gradient: Array, nfev: int) -> None:
        """Absorb what was evaluated."""
        self._nfev += nfev
        self._njev += 1
        fun: Any = np.float64(loss)
        if self._run is None:
            self._run = self._begin(fun, gradient, nfev)
            self._history.add(self._run, self._nfev)
        else:
            # Finite differences take more calls than usual, or fewer.
            self._run.nfev = self._run.nfev + np.int32(nfev - self._settings.cost)
            trial, self._trial = self._trial, None
            assert trial is not None
            self._absorb(trial, Point(trial.x, fun, gradient))

    def _begin(self, fun: Any, gradient: Array, nfev: int) -> Run:
        x, lower, upper = self._start
        if self._old is None:
            point = Point(x, fun, gradient)
            delta0 = self._settings.delta0
            if delta0 is not None:
                delta0 = checks.delta_zero(delta0, x.shape, x.dtype)
            return begin(np.int64(0), point, lower, upper, delta0, self._settings, nfev)
        point = Point(self._old.best.x, fun, gradient)
        run, changed = resume(self._old, point, self._settings, nfev)
        if changed:
            warn(NEW_LOSS, RuntimeWarning)
        return run

    def _absorb(self, trial: Trial, there: Point) -> None:
        run = self._run
        assert run is not None
        absorb(run, trial, there, self._settings)
        if searches(run):
            return
        self._history.add(run, self._nfev)
        if self._maxtime < np.inf and run.status == RUNNING and self._elapsed() > self._maxtime:
            run.end(np.True_, 13)
        if self._watch is not None:
            self._watch(run)

    def _describe(self) -> OptimizeResult:
        """Describe the best point."""
        run = self._run
        if run is None:
            raise RuntimeError("there is no result before the first tell")
        result = describe_run(run, self._unknown, self._nfev, self._njev)
        slope = free_slope(run.best, run.lower, run.upper)
        result.optimality = float(largest_magnitude(slope))
        result.execution_time = self._elapsed()
        return result

    def _elapsed(self) -> float:
        """Return the seconds spent so far."""
        return self._spent + time.monotonic() - self._began


def place(x0: ArrayLike | None, bounds: Any, state: Any) -> tuple[Array, Array, Array]:
    """Return the start within its bounds, or where an earlier run was."""
    if not isinstance(state, Run | None):
        hint = ""
        if isinstance(state, tuple) and any(isinstance(part, Run) for part in state):
            hint = ", which is that of a batch: minimize_batch goes on with it"
        raise TypeError(f"state must be the state of an earlier result; got {state!r}{hint}")
    if state is not None:
        if state.here.x.ndim != 1:
            raise ValueError(
                "state must be of one run; got that of a batch, which minimize_batch goes on with"
            )
        return state.here.x, state.lower, state.upper
    x = start(x0)
    lower, upper = as_box(bounds, x)
    return np.clip(x, lower, upper), lower, upper


def start(x0: Any) -> Array:
    """Copy the start into an array of floats."""
    if x0 is None:
        raise TypeError("x0 must be an array of numbers where no state is given; got None")
    x = floats("x0", x0)
    if x.ndim > 1:
        raise ValueError(f"x0 must have one dimension; got shape {x.shape}")
    return np.atleast_1d(x)


def floats(name: str, value: Any) -> Array:
    """Copy real numbers; float32 and longdouble are kept, everything else becomes float64."""
    try:
        x = checks.numeric(name, value)
    except RuntimeError as error:  # of a tensor that requires a gradient
        raise TypeError(
            f"{name} must be an array of numbers; got {type(value).__name__}: {error}"
        ) from None
    if x.dtype.kind == "c":
        warn(f"{name} is complex; its imaginary part is discarded.", RuntimeWarning)
        x = x.real
    keep = x.dtype.kind == "f" and x.dtype.itemsize > 2
    x = np.array(x, x.dtype.newbyteorder("=") if keep else np.float64, order="C")
    lost = np.argwhere(~np.isfinite(np.atleast_1d(x)))
    if len(lost):
        at = tuple(lost[0].tolist())
        where = ", ".join(map(str, at))
        raise ValueError(f"{name} must be finite; got {np.atleast_1d(x)[at]} in {name}[{where}]")
    return x
