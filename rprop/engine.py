"""The iteration that `minimize_rprop` and `minimize_batch` share: independent runs, one a row.

Arrays in a `Rows` are replaced, never written to, so whoever was handed one may keep it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rprop import basis as learned
from rprop.core import RpropState, rprop_init, rprop_step
from rprop.variants import Variant

Array = NDArray[Any]
Evaluate = Callable[[Array, Array], tuple[Array, Array]]


class Outcome(NamedTuple):
    """How a run can end."""

    success: bool
    message: str


RUNNING = -1
#: Status codes of a result.
OUTCOMES = {
    RUNNING: Outcome(False, "The run goes on."),
    0: Outcome(True, "Converged: the projected gradient is within gtol."),
    1: Outcome(False, "Maximum number of iterations has been reached (maxiter)."),
    2: Outcome(False, "Maximum number of function evaluations has been reached (maxfev)."),
    3: Outcome(False, "The loss or its gradient is not finite at x0."),
    4: Outcome(True, "Converged: every step size is within xtol."),
    5: Outcome(True, "Converged: the loss fell by no more than ftol over the window."),
    6: Outcome(True, "The loss reached f_target."),
    7: Outcome(True, "All independent variables were fixed by bounds."),
    8: Outcome(False, "Stalled: every step from the best point led to non-finite values."),
    99: Outcome(False, "`callback` raised `StopIteration`."),
}


WINDOW = 20  # iterations over which ftol looks for progress
SPACING = 50  # iterations from one step of the safeguard to the next
ARMIJO = 1e-4  # the part of the decrease promised by the gradient that a trial must deliver
SEARCH = 30  # doublings or quarterings of the first step at the most


@dataclass(frozen=True)
class Settings:
    """What the user chose, checked; the same for every row."""

    variant: Variant
    etas: tuple[float, float]
    step_sizes: tuple[Any, Any]
    search: bool  # whether the first step looks for its length
    gtol: float | None
    xtol: float
    ftol: float
    f_target: float
    maxiter: float
    maxfev: float
    bounded: bool
    safeguard: bool
    cost: int  # function evaluations that one loss and gradient take


class Point(NamedTuple):
    """Points, one a row, and what was found there."""

    x: Array  # (k, n)
    fun: Array  # (k,)
    jac: Array  # (k, n)


@dataclass(repr=False)
class Rows:
    """Everything that the next iteration of k runs of n variables needs to know."""

    index: Array  # (k,) which run each row is
    lower: Array  # (k, n)
    upper: Array
    here: Point
    last: Point  # one move earlier: an undone move costs no evaluation
    best: Point  # where the loss was lowest
    slope: Array  # (k, n) the gradient less what pushes against a bound
    state: RpropState
    basis: learned.Basis | None
    spacer: Array  # (k, 3) the safeguard's step length, its floor, whether it is being searched
    unit: Array  # (k, n) what xtol is relative to where x is small
    gtol: Array  # (k,)
    recent: Array  # (k, WINDOW) lowest losses of the last iterations
    fresh: Array  # (k,) whether no step has been taken
    blocked: Array  # (k,) whether Δ shrank for want of a usable value since the best point
    nit: Array  # (k,)
    nfev: Array  # (k,)
    status: Array  # (k,)

    def __repr__(self) -> str:
        k, n = self.here.x.shape
        return f"<{k} x {n} variables after {self.nit.max(initial=0)} iterations>"

    def take(self, rows: Array) -> Rows:
        """Return some of the rows."""

        def pick(value: Any) -> Any:
            if isinstance(value, tuple):
                return type(value)(*map(pick, value))
            return None if value is None else value[rows]

        return Rows(*(pick(getattr(self, item.name)) for item in fields(self)))


def begin(
    evaluate: Evaluate,
    x0: Array,
    lower: Array,
    upper: Array,
    delta0: Array | str,
    basis: bool,
    settings: Settings,
) -> Rows:
    """Evaluate the starts."""
    k, _ = x0.shape
    index = np.arange(k)
    x = np.clip(x0, lower, upper)
    here = Point(x, *evaluate(index, x))
    slope = push_free(here, lower, upper)
    gtol = np.full(k, settings.gtol) if settings.gtol is not None else relative_gtol(slope)
    unit = np.broadcast_to(scale(x, lower, upper) if isinstance(delta0, str) else delta0, x.shape)
    rows = Rows(
        index=index,
        lower=lower,
        upper=upper,
        here=here,
        last=here,
        best=here,
        slope=slope,
        state=rprop_init(x, unit),
        basis=learned.identity(*x.shape) if basis else None,
        spacer=np.zeros((k, 3)),
        unit=unit,
        gtol=gtol,
        recent=np.full((k, WINDOW if settings.ftol else 0), np.inf),
        fresh=np.ones(k, bool),
        blocked=np.zeros(k, bool),
        nit=np.zeros(k, int),
        nfev=np.full(k, settings.cost),
        status=np.full(k, RUNNING),
    )
    rows.status[~finite(here)] = 3
    rows.status[(lower == upper).all(axis=1)] = 7
    judge(rows, settings)
    return rows


def resume(rows: Rows, settings: Settings) -> Rows:
    """Go on with rows of an earlier run, with fresh limits of iterations and evaluations."""
    zero = np.zeros_like(rows.nit)
    rows = replace(rows, nit=zero, nfev=zero, status=np.full_like(rows.status, RUNNING))
    if settings.gtol is not None:
        rows.gtol = np.full_like(rows.gtol, settings.gtol)
    judge(rows, settings)
    return rows


def advance(rows: Rows, evaluate: Evaluate, settings: Settings) -> None:
    """Take one step in every row, evaluate where it led, and judge whether to go on."""
    if settings.search and rows.fresh.any():
        search(rows, evaluate, settings)
        return
    here, last = rows.here, rows.last
    x, state = propose(rows, settings)
    if settings.safeguard:
        x, state, due = space(rows, x, state)
    if settings.bounded:
        inside = np.clip(x, rows.lower, rows.upper)
        made = np.where(inside == x, state.prev_update, inside - here.x)
        x, state = inside, state._replace(prev_update=made)

    # Never twice at one point: nothing moved, or a move was undone, or the best point is tried.
    fun, jac, new = here.fun.copy(), here.jac.copy(), np.ones(len(x), bool)
    for point in (rows.best, last, here):
        known = (x == point.x).all(axis=1)
        if known.any():
            fun[known], jac[known], new = point.fun[known], point.jac[known], new & ~known
    if new.all():
        fun, jac = evaluate(rows.index, x)
    elif new.any():
        fun[new], jac[new] = evaluate(rows.index[new], x[new])
    stays = (x == here.x).all(axis=1)
    rows.last = Point(*map(choose, (stays,) * 3, last, here))
    rows.here, rows.state = Point(x, fun, jac), state
    rows.fresh = rows.fresh & False
    rows.nit = rows.nit + 1
    rows.nfev = rows.nfev + settings.cost * new

    if settings.safeguard:
        accept(rows, due)
    usable = finite(rows.here)
    if rows.basis is not None:
        change = np.where(usable[:, None], jac - here.jac, 0)
        rows.basis, rows.state = learned.learn(rows.basis, state, change)
    if not usable.all():
        retreat(rows, ~usable, settings)
    keep_best(rows)
    rows.slope = push_free(rows.here, rows.lower, rows.upper)
    judge(rows, settings)
    if settings.ftol:
        rows.recent = np.column_stack([rows.best.fun, rows.recent[:, :-1]])


def propose(rows: Rows, settings: Settings) -> tuple[Array, RpropState]:
    """Take the step of the rule, in the learned basis if there is one."""
    rule = (settings.etas, settings.step_sizes)
    how: Any = {"variant": settings.variant, "loss": rows.here.fun}
    x, basis = rows.here.x, rows.basis
    if basis is None:
        return rprop_step(x, rows.slope, rows.state, *rule, **how)
    slope = learned.enter(basis, rows.slope)
    _, state = rprop_step(np.zeros_like(x), slope, rows.state, *rule, **how)
    return x + learned.leave(basis, state.prev_update), state


def space(rows: Rows, x: Array, state: RpropState) -> tuple[Array, RpropState, Array]:
    """Put a gradient step from the best point in the place of every SPACING-th step of the rule.

    Its length is found by Armijo's rule along the projected gradient, one trial an iteration.
    """
    length, floor, searching = rows.spacer.T
    if not floor.all():  # a length that suits the first step of the rule
        steep = np.abs(rows.slope).max(axis=1, initial=0)
        floor = rows.state.delta.max(axis=1) / np.where(steep > 0, steep, 1)
    begins = ~(searching > 0) & (rows.nit % SPACING == SPACING - 1)
    length = np.where(begins, np.maximum(2 * length, floor), length)
    due = begins | (searching > 0)
    rows.spacer = np.stack([length, floor, due], axis=1)
    step = rows.best.x - length[:, None] * rows.best.jac
    x = choose(due, np.clip(step, rows.lower, rows.upper).astype(x.dtype), x)
    still = ~due[:, None]
    moved = choose(due, x - rows.here.x, state.prev_update)
    return x, state._replace(prev_sign=state.prev_sign * still, prev_update=moved), due


def accept(rows: Rows, due: Array) -> None:
    """Judge the safeguard's trial; halve its length where the loss fell too little."""
    length, floor, _ = rows.spacer.T
    promised = (rows.best.jac * (rows.best.x - rows.here.x)).sum(axis=1)
    enough = rows.here.fun <= rows.best.fun - ARMIJO * promised
    searching = due & ~enough
    rows.spacer = np.stack([np.where(searching, length / 2, length), floor, searching], axis=1)


def retreat(rows: Rows, lost: Array, settings: Settings) -> None:
    """Go back to the best point with smaller steps and no memory of signs."""
    delta, prev_sign, prev_update, prev_loss = rows.state
    rows.here = Point(*map(choose, (lost,) * 3, rows.best, rows.here))
    rows.state = RpropState(
        choose(lost, delta * settings.etas[0], delta),
        choose(lost, 0 * prev_sign, prev_sign),
        choose(lost, 0 * prev_update, prev_update),
        prev_loss,
    )
    rows.blocked = rows.blocked | lost


def keep_best(rows: Rows) -> None:
    """Remember the lowest loss."""
    better = rows.here.fun < rows.best.fun
    rows.best = Point(*map(choose, (better,) * 3, rows.here, rows.best))
    rows.blocked = rows.blocked & ~better


def judge(rows: Rows, settings: Settings) -> None:
    """Set the status of rows that are to stop; the first reason counts."""
    x, delta = rows.here.x, rows.state.delta
    small = delta <= settings.xtol * np.maximum(np.abs(x), rows.unit)
    settled = (small | (rows.slope == 0)).all(axis=1)  # a coordinate without slope does not move
    reasons = {
        6: rows.best.fun <= settings.f_target,
        0: np.abs(rows.slope).max(axis=1, initial=0) <= rows.gtol,
        8: settled & rows.blocked,
        4: settled,
        1: rows.nit >= settings.maxiter,
        2: rows.nfev + settings.cost > settings.maxfev,
    }
    if settings.ftol:
        oldest, lowest = rows.recent[:, -1], rows.best.fun
        size = np.maximum(np.abs(lowest), 1)
        reasons[5] = oldest - lowest <= settings.ftol * size
    status = np.full(rows.status.shape, RUNNING)
    for code, applies in reversed(reasons.items()):
        status[applies] = code
    rows.status = np.where(rows.status == RUNNING, status, rows.status)


def search(rows: Rows, evaluate: Evaluate, settings: Settings) -> None:
    """Take the first step with the best Δ0 among its doublings or quarterings.

    Δ0 doubles while the loss falls further, or is quartered until the loss does not strictly
    rise; quartering on ties, too, would cost hundreds of evaluations on a plateau.
    """
    start, delta0 = rows.here, rows.state.delta
    sign = np.sign(rows.slope).astype(np.int8)
    active = np.ones(len(delta0), bool)
    grows = found = ~active
    factor = np.ones((len(delta0), 1), delta0.dtype)
    tried = start.x
    for trial in range(SEARCH):
        delta = np.clip(factor * delta0, *settings.step_sizes).astype(delta0.dtype)
        x = np.clip(start.x - sign * delta, rows.lower, rows.upper)
        active = active & (x != tried).any(axis=1)
        active = active & (rows.nfev + settings.cost <= settings.maxfev)
        if not active.any():
            break
        tried, there = x, Point(x, start.fun.copy(), start.jac.copy())
        there.fun[active], there.jac[active] = evaluate(rows.index[active], x[active])
        rows.nfev = rows.nfev + settings.cost * active
        usable = active & finite(there)
        if trial == 0:
            grows = usable & (there.fun < start.fun)
        good = usable & ((there.fun < rows.here.fun) | (~grows & (there.fun == rows.here.fun)))
        rows.here = Point(*map(choose, (good,) * 3, there, rows.here))
        stepped = RpropState(delta, sign, x - start.x, start.fun)
        rows.state = RpropState(*map(choose, (good,) * 4, stepped, rows.state))
        found = found | good
        active = active & (good == grows)  # doubling goes on while it helps, quartering until
        factor = np.where(grows[:, None], factor * 2, factor / 4).astype(delta0.dtype)
    shortest = np.clip(factor * delta0, *settings.step_sizes).astype(delta0.dtype)
    rows.state = rows.state._replace(delta=choose(found, rows.state.delta, shortest))
    rows.blocked = ~found
    rows.fresh = rows.fresh & False
    rows.nit = rows.nit + 1
    keep_best(rows)
    rows.slope = push_free(rows.here, rows.lower, rows.upper)
    judge(rows, settings)


def scale(x: Array, lower: Array, upper: Array) -> Array:
    """Return Δ0 from the start: a tenth of |x|, where x is 0 of its median, at most of the box."""
    size, n = np.abs(x), x.shape[1]
    zeros = (size == 0).sum(axis=1)
    middle = np.stack([(zeros + n - 1) // 2, np.minimum((zeros + n) // 2, n - 1)], axis=1)
    median = np.take_along_axis(np.sort(size, axis=1), middle, axis=1).mean(axis=1, keepdims=True)
    size = np.where(size > 0, size, np.where(median > 0, median, 1))
    width = np.where(upper > lower, upper - lower, np.inf)
    return (0.1 * np.minimum(size, width)).astype(x.dtype)


def relative_gtol(slope: Array) -> Array:
    """1e-5, but relative to a start whose gradient is small: Rprop works where it vanishes."""
    return 1e-5 * np.minimum(1, np.abs(slope).max(axis=1, initial=0))


def push_free(here: Point, lower: Array, upper: Array) -> Array:
    """Return the gradient with 0 where it pushes against a bound."""
    x, jac = here.x, here.jac
    pinned = ((x <= lower) & (jac > 0)) | ((x >= upper) & (jac < 0))
    return np.where(pinned, 0, jac) if pinned.any() else jac


def finite(here: Point) -> Array:
    """Tell where a loss and its whole gradient are finite."""
    return np.isfinite(here.fun) & np.isfinite(here.jac).all(axis=1)


def choose(rows: Array, a: Array, b: Array) -> Array:
    """Return `a` in the given rows and `b` elsewhere."""
    if rows.all():
        return a
    if not rows.any():
        return b
    return np.where(rows.reshape(rows.shape + (1,) * (b.ndim - 1)), a, b)
