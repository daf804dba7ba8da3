"""The iteration that `minimize_rprop` and `minimize_batch` share.

As in `rprop_step`, leading axes are independent: points have shape (n,) or (k, n), and what there
is one of per run has shape () or (k,). Arrays in a `Run` are replaced, never written to, so
whoever was handed one may keep it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from rprop.rule import step as core
from rprop.rule.state import Array, RpropState
from rprop.rule.step import rprop_init
from rprop.rule.variants import Variant
from rprop.solver import directions as learned
from rprop.solver.per_run import (
    choose,
    every,
    finite,
    first,
    items,
    largest,
    remake,
    shared,
    some,
    whole,
)

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
ONE = np.int32(1)
SEARCH = 30  # doublings or quarterings of the first step at the most


@dataclass(frozen=True)
class Settings:
    """What the user chose, checked; the same for every run."""

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
    cost: Any  # function evaluations that one loss and gradient take


class Point(NamedTuple):
    """A point and what was found there."""

    x: Array  # (..., n)
    fun: Array  # (...)
    jac: Array  # (..., n)


class Spacer(NamedTuple):
    """The safeguard's line search."""

    length: Array  # (...) of its last step, as a multiple of the gradient
    floor: Array  # (...) that length for the first step of the rule; 0 before it is known
    searching: Array  # (...) whether the next trial is its own


@dataclass(repr=False)
class Run:
    """Everything that the next iteration needs to know."""

    index: Array  # (...) which run it is
    lower: Array  # (..., n)
    upper: Array
    here: Point
    last: Point  # one move earlier: an undone move costs no evaluation
    best: Point  # where the loss was lowest
    slope: Array  # (..., n) the gradient less what pushes against a bound
    state: RpropState
    basis: learned.Basis | None
    spacer: Spacer | None
    unit: Array  # (..., n) what xtol is relative to where x is small
    gtol: Array  # (...)
    recent: Array  # (..., WINDOW) lowest losses of the last iterations
    blocked: Array  # (...) whether Δ shrank for want of a usable value since the best point
    nfev: Array  # (...)
    status: Array  # (...)
    nit: int  # iterations since the start or since resumed
    age: Array  # (...) iterations since the start

    def __repr__(self) -> str:
        return f"<Run of shape {self.here.x.shape} after {np.max(self.age)} iterations>"

    def take(self, rows: Array) -> Run:
        """Return some of many runs."""

        def pick(values: Array) -> Array:
            return values[: len(rows)] if shared(values) else values.take(rows, axis=0)

        return rebuild(pick, self)


def join(*runs: Run) -> Run:
    """Make one run of rows of several."""

    def stack(*values: Array) -> Array:
        if shared(*values):
            return np.broadcast_to(values[0][:1], (sum(map(len, values)), *values[0].shape[1:]))
        return np.concatenate(values)

    return rebuild(stack, *runs)


def rebuild(make: Callable[..., Array], *runs: Run) -> Run:
    """Make a run of the arrays of others; those that are one array stay one."""
    made: dict[tuple[int, ...], Array] = {}
    columns = zip(*(vars(run).values() for run in runs), strict=True)
    return Run(*(remake(make, made, values) for values in columns))


def begin(
    evaluate: Evaluate,
    index: Any,
    x0: Array,
    lower: Array,
    upper: Array,
    delta0: Array | str,
    basis: bool,
    settings: Settings,
) -> Run:
    """Evaluate the start."""
    many = x0.shape[:-1]
    x = np.clip(x0, lower, upper)
    here = Point(x, *evaluate(index, x))
    slope = push_free(here, lower, upper) if settings.bounded else here.jac
    unit = scale(x, lower, upper) if isinstance(delta0, str) else np.broadcast_to(delta0, x.shape)
    zeros = np.zeros(many)[()]  # scalars, not arrays of no dimension: they are faster
    steep = largest(slope)
    usable = finite(here.fun, largest(here.jac))
    status = np.where(usable, np.where((lower == upper).all(axis=-1), 7, RUNNING), 3)
    run = Run(
        index=index,
        lower=lower,
        upper=upper,
        here=here,
        last=here,
        best=here,
        slope=slope,
        state=rprop_init(x, unit),
        basis=learned.identity(x.shape) if basis else None,
        spacer=Spacer(zeros, zeros, zeros > 0) if settings.safeguard else None,
        unit=unit,
        gtol=relative_gtol(steep) if settings.gtol is None else alike(settings.gtol, many),
        recent=np.full((*many, WINDOW if settings.ftol else 0), np.inf),
        blocked=zeros > 0,
        nfev=(zeros + settings.cost).astype(np.int32),
        status=status[()].astype(np.int8),
        nit=0,
        age=zeros.astype(np.int32),
    )
    judge(run, steep, settings)
    return run


def resume(run: Run, settings: Settings) -> Run:
    """Go on with an earlier run, with fresh limits of iterations and evaluations."""
    run = replace(run, nit=0, nfev=0 * run.nfev, status=0 * run.status + RUNNING)
    if settings.gtol is not None:
        run.gtol = alike(settings.gtol, run.nfev.shape)
    if settings.ftol and not run.recent.size:
        run.recent = np.full((*run.gtol.shape, WINDOW), np.inf)
    if settings.safeguard and run.spacer is None:
        run.spacer = Spacer(0 * run.gtol, 0 * run.gtol, run.gtol < 0)
    judge(run, largest(run.slope), settings)
    return run


def advance(run: Run, evaluate: Evaluate, settings: Settings) -> None:
    """Take one step, evaluate where it led, and judge whether to go on."""
    first_step = settings.search and not some(run.age)
    steep = (search if first_step else step)(run, evaluate, settings)
    as_good = run.here.fun <= run.best.fun
    if some(as_good):  # of equals the later one: its gradient is the one that was judged
        run.blocked = run.blocked & np.logical_not(run.here.fun < run.best.fun)
        run.best = choose(as_good, run.here, run.best)
    run.slope = run.here.jac
    if settings.bounded:
        run.slope = push_free(run.here, run.lower, run.upper)
        steep = largest(run.slope)
    run.nit += 1
    run.age = run.age + ONE
    judge(run, steep, settings)
    if settings.ftol:
        run.recent = np.concatenate([run.best.fun[..., None], run.recent[..., :-1]], axis=-1)


def step(run: Run, evaluate: Evaluate, settings: Settings) -> Array:
    """Take a step of the rule, or go back from where there is no usable value.

    This and `search` return the largest magnitudes in the gradient where they led.
    """
    here = run.here
    x, state = propose(run, settings)
    state = RpropState(*state[:3], here.fun)  # one array instead of two, and a scalar of one run
    if settings.safeguard:
        x, state = space(run, x, state)
    if settings.bounded:
        inside = np.clip(x, run.lower, run.upper)
        made = np.where(inside == x, state.prev_update, inside - here.x)
        x, state = inside, state._replace(prev_update=made)
    there, new = visit(run, x, evaluate)
    run.nfev = run.nfev + settings.cost * new
    run.last = here if every(new) else choose(whole(x == here.x), run.last, here)
    run.here, run.state = there, state
    if settings.safeguard:
        accept(run)
    steep = largest(there.jac)
    usable = finite(there.fun, steep)
    if run.basis is not None:
        change = np.where(usable[..., None], there.jac - here.jac, 0)
        run.basis, run.state = learned.learn(run.basis, state, change)
    if every(usable):
        return steep
    retreat(run, ~usable, settings)
    return largest(run.here.jac)


def propose(run: Run, settings: Settings) -> tuple[Array, RpropState]:
    """Take the step of the rule, in the learned basis if there is one."""
    rule = (settings.etas, settings.step_sizes, settings.variant, run.here.fun)
    x, basis = run.here.x, run.basis
    if basis is None:
        return core.step(x, run.slope, run.state, *rule)
    slope = learned.enter(basis, run.slope)
    _, state = core.step(np.zeros_like(x), slope, run.state, *rule)
    return (x + learned.leave(basis, state.prev_update)).astype(x.dtype), state


def visit(run: Run, x: Array, evaluate: Evaluate) -> tuple[Point, Array]:
    """Evaluate the points that are not known, and tell which were new.

    A point is known where nothing moved, a move was undone, or the best point is tried again.
    """
    new, there, start = run.status == RUNNING, run.here, first(x)
    for point in (run.here, run.last, run.best):
        if some(start == first(point.x)):  # comparing whole points is dear
            known = whole(x == point.x)
            new, there = new & ~known, choose(known, point, there)
    return measure(evaluate, run.index, x, new, there), new


def measure(evaluate: Evaluate, index: Array, x: Array, new: Array, known: Point) -> Point:
    """Evaluate the points that are new."""
    if every(new):
        return Point(x, *evaluate(index, x))
    if not some(new):
        return known._replace(x=x)
    rows = np.flatnonzero(new)
    fun, jac = known.fun.copy(), known.jac.copy()
    fun[rows], found = evaluate(index[rows], x.take(rows, axis=0))
    items(jac)[rows] = items(found)
    return Point(x, fun, jac)


def space(run: Run, x: Array, state: RpropState) -> tuple[Array, RpropState]:
    """Put a gradient step from the best point in the place of every SPACING-th step of the rule.

    Its length is found by Armijo's rule along the projected gradient, one trial an iteration.
    """
    assert run.spacer is not None
    length, floor, searching = run.spacer
    if not every(floor):  # a length that suits the first step of the rule
        steep = largest(run.slope)
        suits = largest(run.state.delta) / np.where(steep > 0, steep, 1)
        floor = np.where(floor > 0, floor, suits)[()]
    begins = ~searching & (run.age % SPACING == SPACING - 1)
    length = np.where(begins, np.maximum(2 * length, floor), length)[()]
    due = begins | searching
    run.spacer = Spacer(length, floor, due)
    if not some(due):
        return x, state
    trial = run.best.x - length[..., None] * run.best.jac
    trial = np.clip(trial, run.lower, run.upper).astype(x.dtype)
    trial_state = state._replace(
        prev_sign=0 * state.prev_sign, prev_update=(trial - run.here.x).astype(x.dtype)
    )
    return choose(due, trial, x), choose(due, trial_state, state)


def accept(run: Run) -> None:
    """Judge the safeguard's trial; halve its length where the loss fell too little."""
    assert run.spacer is not None
    length, floor, due = run.spacer
    if some(due):
        promised = (run.best.jac * (run.best.x - run.here.x)).sum(axis=-1)
        searching = due & ~(run.here.fun <= run.best.fun - ARMIJO * promised)
        run.spacer = Spacer(np.where(searching, length / 2, length)[()], floor, searching)


def retreat(run: Run, lost: Array, settings: Settings) -> None:
    """Go back to the best point with smaller steps and no memory of signs."""
    delta, prev_sign, prev_update, prev_loss = run.state
    shrunk = RpropState(delta * settings.etas[0], 0 * prev_sign, 0 * prev_update, prev_loss)
    run.last = choose(lost, run.here, run.last)  # a bound may stop the next step there again
    run.here = choose(lost, run.best, run.here)
    run.state = choose(lost, shrunk, run.state)
    run.blocked = run.blocked | lost


def judge(run: Run, steep: Array, settings: Settings) -> None:
    """Set the status of runs that are to stop; the first reason counts."""
    here, lowest, status = run.here, run.best.fun, run.status
    never = status != status
    reached = lowest <= settings.f_target
    flat = (steep <= run.gtol) & (here.fun <= lowest)
    spent = run.nfev + settings.cost > settings.maxfev
    late = run.nit >= settings.maxiter
    numbers = here.x, run.state.delta, run.slope, run.unit
    still = settled(settings.xtol, *map(first, numbers)) if here.x.size else never
    if some(still):  # looking at one coordinate is cheap
        still = still & whole(settled(settings.xtol, *numbers))
    idle = never
    if settings.ftol:
        idle = run.recent[..., -1] - lowest <= settings.ftol * np.maximum(abs(lowest), 1)
    if not (late or some(reached | flat | spent | still | idle)):
        return
    stuck = still & run.blocked
    for code, reason in zip(
        (6, 0, 8, 4, 1, 2, 5), (reached, flat, stuck, still, late, spent, idle), strict=True
    ):
        status = np.where((status == RUNNING) & reason, code, status)[()]
    run.status = status


def settled(xtol: float, x: Array, delta: Array, slope: Array, unit: Array) -> Array:
    """Tell where Δ is within xtol; a coordinate without slope does not move."""
    small: Array = (delta <= xtol * abs(x)) | (delta <= xtol * unit) | (slope == 0)
    return small


def search(run: Run, evaluate: Evaluate, settings: Settings) -> Array:
    """Take the first step with the best Δ0 among its doublings or quarterings.

    Δ0 doubles while the loss falls further, or is quartered until the loss does not strictly
    rise; quartering on ties, too, would cost hundreds of evaluations on a plateau.
    """
    start, delta0 = run.here, run.state.delta
    sign = np.sign(run.slope).astype(np.int8)
    active = run.status == RUNNING
    grows = found = ~active
    factor = np.ones(run.gtol.shape)[()]
    tried = start.x
    for trial in range(SEARCH):
        delta = np.clip(factor[..., None] * delta0, *settings.step_sizes).astype(delta0.dtype)
        x = np.clip(start.x - sign * delta, run.lower, run.upper)
        active = active & (x != tried).any(axis=-1) & (x != start.x).any(axis=-1)
        active = active & (run.nfev + settings.cost <= settings.maxfev)
        if not some(active):
            break
        tried, there = x, measure(evaluate, run.index, x, active, start)
        run.nfev = run.nfev + settings.cost * active
        usable = active & finite(there.fun, largest(there.jac))
        if trial == 0:
            grows = usable & (there.fun < start.fun)
        good = usable & ((there.fun < run.here.fun) | (~grows & (there.fun == run.here.fun)))
        stepped = RpropState(delta, sign, x - start.x, start.fun)
        if settings.variant.on_flip != "undo":  # half the step back is the trial before this one
            run.last = choose(good, run.here, run.last)
        run.here, run.state = choose(good, there, run.here), choose(good, stepped, run.state)
        run.best = choose(good, there, run.best)  # an exception of the next trial may end the run
        found = found | good
        active = active & (good == grows)  # doubling goes on while it helps, quartering until
        factor = np.where(grows, factor * 2, factor / 4)[()]
    shortest = np.clip(factor[..., None] * delta0, *settings.step_sizes).astype(delta0.dtype)
    run.state = run.state._replace(delta=choose(found, run.state.delta, shortest))
    run.unit = np.minimum(run.unit, run.state.delta)  # the first step size is the one found
    run.blocked = ~found
    return largest(run.here.jac)


def scale(x: Array, lower: Array, upper: Array) -> Array:
    """Return Δ0 from the start: a tenth of |x|, where x is 0 of its median, at most of the box."""
    size = np.abs(x)
    size = np.where((size < np.inf) & (size > 1e3 * np.finfo(x.dtype).tiny), size, 0)
    if not size.all():
        count = np.count_nonzero(size, axis=-1, keepdims=True)
        rising = np.sort(np.where(size > 0, size, np.inf), axis=-1)
        halves = [
            np.take_along_axis(rising, k, axis=-1) / 2 for k in ((count - 1) // 2, count // 2)
        ]
        size = np.where(size > 0, size, np.where(count > 0, sum(halves), 1))
    width = np.where(upper > lower, upper - lower, np.inf)
    return (np.float64(0.1) * np.minimum(size, width)).astype(x.dtype)


def relative_gtol(steep: Array) -> Array:
    """1e-8, but relative to a start whose gradient is small: Rprop works where it vanishes."""
    return 1e-8 * np.minimum(1, steep)


def alike(number: float, many: tuple[int, ...]) -> Array:
    """Return a number for each run, in the memory of one."""
    result: Array = np.broadcast_to(np.float64(number), many)[()]
    return result


def push_free(here: Point, lower: Array, upper: Array) -> Array:
    """Return the gradient with 0 where it pushes against a bound."""
    x, jac = here.x, here.jac
    return np.where((x <= lower) & (jac > 0) | (x >= upper) & (jac < 0), 0, jac)
