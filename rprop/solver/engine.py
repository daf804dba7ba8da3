"""The iteration behind every door: `minimize_rprop`, `minimize_batch`, `multistart`, ask and tell.

A run proposes a trial, the trial is evaluated unless it is known, and the run absorbs what was
found there. That is all; what each line does has a module of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from rprop.rule import step as rule
from rprop.rule.state import Array, RpropState
from rprop.solver import directions, first_step, renewal, safeguard
from rprop.solver.bounds import held, slope_at, stay_inside
from rprop.solver.moves import glide, secant
from rprop.solver.per_run import (
    are_finite,
    as_items,
    choose_by_run,
    first_coordinate,
    in_all_coordinates,
    in_any_run,
    in_every_run,
    largest_magnitude,
    limit,
    negate,
)
from rprop.solver.run import Evaluate, Point, Run, Settings
from rprop.solver.stopping import RUNNING, judge, relative_gtol, wait

__all__ = ["Trial", "absorb", "advance", "begin", "propose", "resume", "searches"]

ONE = np.int32(1)
quietly = np.errstate(all="ignore")  # what overflows is judged, however the user treats warnings


class Trial(NamedTuple):
    """Where to look next."""

    x: Array  # (..., n)
    state: RpropState | None  # what the state will be there; None in a search
    new: Array  # (...) whether it has to be evaluated
    known: Point  # what is known where it has not


@quietly
def begin(
    index: Any,
    start: Point,
    lower: Array,
    upper: Array,
    delta0: Array | None,
    settings: Settings,
    nfev: int | None = None,
) -> Run:
    """Make a run of a start that was evaluated; finite differences tell by how many calls."""
    x, many = start.x, start.x.shape[:-1]
    slope = slope_at(start, lower, upper, settings)
    unit = first_step.guess(x, lower, upper) if delta0 is None else np.broadcast_to(delta0, x.shape)
    unit = limit(unit, *settings.step_sizes).astype(x.dtype)
    zeros = np.zeros(many)[()]  # scalars, not arrays of no dimension: they are faster
    steep = largest_magnitude(slope)
    usable = are_finite(start.fun, largest_magnitude(start.jac))
    status = np.where(usable, np.where((lower == upper).all(axis=-1), 7, RUNNING), 3)
    learned = directions.axes(x.shape, x.dtype) if settings.learned else None
    delta = unit.copy() if learned is None else directions.carry(learned, unit)
    run = Run(
        index=index,
        lower=lower,
        upper=upper,
        here=start,
        last=start,
        best=start,
        slope=slope,
        state=RpropState(
            delta, np.zeros(delta.shape, np.int8), np.zeros_like(delta), zeros * np.nan
        ),
        directions=learned,
        along=slope,
        last_along=None,
        search=first_step.no_search(many, first_step.DONE),
        spacer=safeguard.start(many) if settings.safeguard else None,
        unit=unit,
        steep=steep,
        gtol=relative_gtol(steep) if settings.gtol is None else alike(settings.gtol, many),
        scale=np.minimum(1, np.abs(start.fun)),
        level=start.fun,
        waits=zeros.astype(np.int32),
        reach=zeros,
        blocked=zeros > 0,
        unseen=zeros.astype(np.int32),
        nfev=(zeros + (settings.cost if nfev is None else nfev)).astype(np.int32),
        status=status[()].astype(np.int8),
        nit=0,
        age=zeros.astype(np.int32),
    )
    run.along = directions.slopes_along(run)
    run.last_along = run.along if settings.secant else None
    judge(run, steep, settings)
    if delta0 is None:
        first_step.search_first(run)
    return run


@quietly
def resume(
    run: Run, again: Point, settings: Settings, nfev: int | None = None
) -> tuple[Run, Array]:
    """Go on with an earlier run whose best point was evaluated again, with fresh limits.

    Where the loss is another one, step sizes are kept and everything else that was known is not.
    Return also where that is so.
    """
    spent = 0 * run.nfev + np.int32(settings.cost if nfev is None else nfev)
    confirmed = (run.status == 4) | (run.status == 5)  # maybe by a search: judge asks for it again
    run = replace(run.snapshot(), nit=0, nfev=spent, status=0 * run.status + RUNNING)
    phase = choose_by_run(confirmed, 0 * run.search.phase, run.search.phase)
    run.search = run.search._replace(phase=phase)
    many = run.nfev.shape
    if settings.gtol is not None:
        run.gtol = alike(settings.gtol, many)
    directions.adopt(run, settings.learned)
    run.along = directions.slopes_along(run)
    if not settings.secant:
        run.last_along = None
    elif run.last_along is None or run.last_along.shape != run.along.shape:
        run.last_along = run.along
    if settings.safeguard and run.spacer is None:
        run.spacer = safeguard.start(many)
    usable = are_finite(again.fun, largest_magnitude(again.jac))
    same = (again.fun == run.best.fun) & (again.jac == run.best.jac).all(axis=-1)
    changed = usable & ~same
    if in_any_run(changed | ~usable):
        restart(run, again, changed | ~usable, settings)
    judge(run, largest_magnitude(run.slope), settings)
    return run, changed


def restart(run: Run, start: Point, rows: Array, settings: Settings) -> None:
    """Begin anew with the step sizes and directions that there are."""
    fresh = run.state._replace(
        prev_sign=0 * run.state.prev_sign,
        prev_update=0 * run.state.prev_update,
        prev_loss=run.state.prev_loss * np.nan,
    )
    run.here, run.last, run.best = (
        choose_by_run(rows, start, point) for point in (run.here, run.last, run.best)
    )
    run.state = choose_by_run(rows, fresh, run.state)
    run.slope = slope_at(run.here, run.lower, run.upper, settings)
    run.level = choose_by_run(rows, start.fun, run.level)
    run.scale = choose_by_run(rows, np.minimum(1, np.abs(start.fun)), run.scale)
    run.waits = choose_by_run(rows, 0 * run.waits, run.waits)
    run.blocked = run.blocked & ~rows
    if settings.delta0 is None:
        first_step.search_anew(run, rows)
    else:
        run.search = choose_by_run(rows, first_step.no_search(run.nfev.shape), run.search)
    if run.spacer is not None:
        run.spacer = run.spacer._replace(searching=run.spacer.searching & ~rows)
    run.along = directions.slopes_along(run)
    if settings.secant:
        run.last_along = choose_by_run(rows, run.along, run.last_along)
    run.steep = choose_by_run(rows, largest_magnitude(run.slope), run.steep)
    if settings.gtol is None:
        run.gtol = choose_by_run(rows, relative_gtol(run.steep), run.gtol)
    usable = are_finite(run.here.fun, largest_magnitude(run.here.jac))
    run.end(rows & ~usable, 3)


def advance(run: Run, evaluate: Evaluate, settings: Settings) -> None:
    """Take one iteration: a step, or a search, and the search it may end with."""
    while True:
        trial = propose(run, settings)
        absorb(run, trial, measure(evaluate, run.index, trial), settings)
        if not in_any_run(searches(run)):
            break


def searches(run: Run) -> Array:
    """Tell which runs are in the middle of a search."""
    return (run.search.phase > 0) & (run.status == RUNNING)


@quietly
def propose(run: Run, settings: Settings) -> Trial:
    """Choose where to look next: the next step, or the next trial of runs that search."""
    active, state = searches(run), None
    if in_any_run(active):
        x = choose_by_run(active, first_step.propose_trial(run, settings), run.here.x)
    else:
        active = run.status == RUNNING
        x, state = step(run, settings)
        if settings.limited and settings.learned:  # Δmax is that of the user's coordinates
            here = run.here.x
            longest = np.asarray(settings.step_sizes[1], here.dtype)
            x, state = stay_inside(run, x, state, here - longest, here + longest)
        if settings.safeguard:
            x, state = safeguard.replace(run, x, state)
        if settings.bounded:
            x, state = stay_inside(run, x, state, run.lower, run.upper)
    new, known = recognise(run, x, active)
    return Trial(x, state, new, known)


def step(run: Run, settings: Settings) -> tuple[Array, RpropState]:
    """Take the step of the rule, along the learned directions if there are any.

    Return where it leads and the state there.
    """
    here, before, axes = run.here, run.state, run.directions is None
    sizes = settings.step_sizes if axes else settings.extremes
    x, state = rule.step(
        here.x if axes else before.delta,  # along directions only the move counts
        run.along,
        before,
        settings.etas,
        sizes,
        settings.variant,
        here.fun,
    )
    # The loss again: one array instead of two, and a scalar of one run.
    state = RpropState(*state[:3], here.fun)
    if settings.secant:
        assert run.last_along is not None
        fields = before, state, run.along, run.last_along
        known = None if run.directions is None else directions.known(run.directions)
        if run.directions is None or known is None:
            secant(*fields, settings.variant.forgets)
        else:
            secant(*fields, settings.variant.forgets, known, run.directions.joint)
            glide(run.directions.joint, known, *fields, sizes)
        if settings.limited:
            np.minimum(state.delta, sizes[1], out=state.delta)
            np.clip(state.prev_update, -sizes[1], sizes[1], out=state.prev_update)
    if run.directions is not None:
        x = directions.leave(run.directions, state.prev_update)
        x += here.x
        x = x.astype(here.x.dtype, copy=False)
    elif settings.secant:
        x = here.x + state.prev_update
    return x, state


def recognise(run: Run, x: Array, active: Array) -> tuple[Array, Point]:
    """Tell which trials are new, and what is known of the others.

    A point is known where nothing moved, a move was undone, or the best point is tried again.
    """
    new, known, start = active, run.here, first_coordinate(x)
    for point in (run.here, run.last, run.best):
        if in_any_run(start == first_coordinate(point.x)):  # comparing whole points is dear
            same = in_all_coordinates(x == point.x)
            new, known = new & negate(same), choose_by_run(same, point, known)
    return new, known


def measure(evaluate: Evaluate, index: Array, trial: Trial) -> Point:
    """Evaluate the trials that are new."""
    x, new, known = trial.x, trial.new, trial.known
    if in_every_run(new):
        return Point(x, *evaluate(index, x))
    if not in_any_run(new):
        return known._replace(x=x)
    rows = np.flatnonzero(new)
    fun, jac = known.fun.copy(), known.jac.copy()
    fun[rows], found = evaluate(index[rows], x.take(rows, axis=0))
    as_items(jac)[rows] = as_items(found)
    return Point(x, fun, jac)


@quietly
def absorb(run: Run, trial: Trial, there: Point, settings: Settings) -> None:
    """Go to the trial, or back, and judge whether to go on."""
    searching = searches(run)
    run.nfev = run.nfev + settings.cost * trial.new
    steep = largest_magnitude(there.jac)
    usable = are_finite(there.fun, steep)
    if not in_every_run(usable):
        run.end(trial.new & (there.fun == -np.inf), 11)
    if trial.state is None:
        first_step.absorb_trial(run, trial.x, there, usable, searching, settings)
    else:
        steep = accept(run, trial, there, usable, steep, settings)
    run.slope = slope_at(run.here, run.lower, run.upper, settings)
    if trial.state is None:
        run.end(searches(run) & (run.nfev + settings.cost > settings.maxfev), 2)
        if in_any_run(searches(run)):
            run.along = directions.slopes_along(run)
            return
        steep = largest_magnitude(run.slope)
    if run.directions is not None and in_any_run(due := directions.is_due(run.directions)):
        renew(run, due, settings)
    run.along = directions.slopes_along(run)
    # The first search is the first iteration; a later one belongs to the iteration before it.
    if trial.state is not None or not in_any_run(run.age):
        run.nit += 1
        run.age = run.age + ONE
        run.unseen = choose_by_run(trial.new, 0 * run.unseen, run.unseen + ONE)
        wait(run, settings)
    judge(run, steep, settings)


def accept(
    run: Run, trial: Trial, there: Point, usable: Array, steep: Array, settings: Settings
) -> Array:
    """Go where a step led, unless that is no use: then go back to the best point.

    Not finite values are no use, and neither is a higher plateau, whose slopes are all 0. Return
    the largest slopes where the runs are now.
    """
    assert trial.state is not None
    if settings.bounded:
        steep = largest_magnitude(slope_at(there, run.lower, run.upper, settings))
    lost = negate(usable) | ((steep == 0) & (there.fun > run.best.fun))
    if in_any_run(run.search.phase != 0):
        run.search = first_step.no_search(run.nfev.shape)
    moved = trial.new
    if not in_every_run(moved):
        moved = negate(in_all_coordinates(trial.x == run.here.x))
    if run.directions is not None:
        move, change = trial.x - run.here.x, there.jac - run.here.jac
        run.directions = directions.learn(run.directions, move, change, usable & trial.new)
    if settings.secant:
        run.last_along = run.along
    run.last = choose_by_run(moved, run.here, run.last)
    run.here, run.state = there, trial.state
    if settings.safeguard:
        safeguard.accept(run)
    if in_any_run(lost):
        retreat(run, lost, settings)
    as_good = negate(lost) & (run.here.fun <= run.best.fun)
    if in_any_run(as_good):  # of equals the later one: its gradient is the one that was judged
        run.blocked = run.blocked & negate(run.here.fun < run.best.fun)
        run.best = choose_by_run(as_good, run.here, run.best)
    if not in_any_run(lost):
        return steep
    return largest_magnitude(slope_at(run.here, run.lower, run.upper, settings))


def retreat(run: Run, lost: Array, settings: Settings) -> None:
    """Go back to the best point with smaller steps and no memory of signs."""
    delta, prev_sign, prev_update, prev_loss = run.state
    shrunk = RpropState(delta * settings.etas[0], 0 * prev_sign, 0 * prev_update, prev_loss)
    run.last = choose_by_run(lost, run.here, run.last)  # a bound may stop the next step there again
    run.here = choose_by_run(lost, run.best, run.here)
    run.state = choose_by_run(lost, shrunk, run.state)
    run.blocked = run.blocked | lost


def renew(run: Run, due: Array, settings: Settings) -> None:
    """Turn to what was learned."""
    assert run.directions is not None
    pinned = held(run) if settings.bounded else None
    if not in_every_run(due):
        rows = np.flatnonzero(due)
        some = type(run.directions)(*(part[rows] for part in run.directions))
        state = RpropState(*(part[rows] for part in run.state))
        new = renewal.renew(
            some,
            state,
            run.slope[rows],
            None if pinned is None else pinned[rows],
            settings.secant,
        )
        for old, renewed in zip(run.directions[:3], new[0], strict=False):
            old[rows] = renewed
        run.directions = run.directions._replace(
            collected=np.where(due, np.int32(0), run.directions.collected)
        )
        fields = [field.copy() for field in run.state[:3]]
        for field, renewed in zip(fields, new[1], strict=False):
            field[rows] = renewed
        delta, prev_sign, prev_update = fields
        run.state = RpropState(delta, prev_sign, prev_update, run.state.prev_loss)
    else:
        run.directions, run.state = renewal.renew(
            run.directions, run.state, run.slope, pinned, settings.secant
        )


def alike(number: float, many: tuple[int, ...]) -> Array:
    """Return a number for each run, in the memory of one."""
    result: Array = np.broadcast_to(np.float64(number), many)[()]
    return result
