"""When a run ends, and what its result may claim.

Success is a statement about the point that is returned, the best one. Rules that fire elsewhere,
or after steps that only shrank for want of usable values, or where the slope is still large, prove
nothing: the run goes on from its best point, and ends only where a search finds nothing lower.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rprop.rule.state import Array
from rprop.solver import directions
from rprop.solver.first_step import search_again
from rprop.solver.per_run import (
    choose_by_run,
    first_coordinate,
    in_all_coordinates,
    in_any_run,
    largest_magnitude,
    negate,
)
from rprop.solver.run import Run, Settings

__all__ = ["OUTCOMES", "RUNNING", "Outcome", "judge", "largest_step", "relative_gtol", "wait"]


class Outcome(NamedTuple):
    """How a run can end."""

    success: bool
    message: str
    advice: str


RUNNING = -1
#: Status codes of a result.
OUTCOMES = {
    RUNNING: Outcome(False, "The run goes on.", ""),
    0: Outcome(
        True,
        "Converged: the projected gradient is within gtol.",
        "Nothing. For a more accurate point, give a smaller gtol.",
    ),
    1: Outcome(
        False,
        "Maximum number of iterations has been reached (maxiter).",
        "Go on with state=result.state, or give a larger maxiter or looser tolerances.",
    ),
    2: Outcome(
        False,
        "Maximum number of function evaluations has been reached (maxfev).",
        "Go on with state=result.state, or give a larger maxfev or looser tolerances.",
    ),
    3: Outcome(
        False,
        "The loss or its gradient is not finite at x0.",
        "Start elsewhere, or add bounds that keep x where the loss is defined.",
    ),
    4: Outcome(
        True,
        "Converged: every step size is within xtol.",
        "Nothing. If result.jac is not small, the minimum is a kink, or as exact as rounding lets "
        "it be.",
    ),
    5: Outcome(
        True,
        "Converged: the loss fell by no more than ftol over the window.",
        "Nothing. For a more accurate point, give a smaller ftol, or ftol=0.",
    ),
    6: Outcome(True, "The loss reached f_target.", "Nothing."),
    7: Outcome(
        True,
        "All independent variables were fixed by bounds.",
        "Widen the bounds if a variable was meant to move.",
    ),
    8: Outcome(
        False,
        "Stalled: every step from the best point led to values that are not finite, or to a "
        "plateau with a higher loss and no slope.",
        "See that the loss is defined around result.x; add bounds; scale the variables.",
    ),
    9: Outcome(
        False,
        "No step along the negative gradient lowers the loss, but a step against it does: the "
        "gradient may be wrong; see scipy.optimize.check_grad.",
        "Compare the gradient with scipy.optimize.check_grad; look for a wrong sign.",
    ),
    10: Outcome(
        False,
        "No smaller loss was found near the best point, along the gradient or against it, though "
        "its gradient is not within gtol.",
        "The point may be a minimum at a kink. Compare the gradient with "
        "scipy.optimize.check_grad; start elsewhere to be sure.",
    ),
    11: Outcome(
        False,
        "The loss seems unbounded below: it fell as far as numbers go.",
        "Add bounds, or a penalty that keeps the loss from falling for ever.",
    ),
    12: Outcome(
        False,
        "Steps have become too short to reach any point that was not evaluated before.",
        "Accept result.x, which is as exact as its dtype lets it be here, or give xtol > 0.",
    ),
    13: Outcome(
        False,
        "The time limit has been reached (maxtime).",
        "Go on with state=result.state, or give a larger maxtime.",
    ),
    14: Outcome(
        False,
        "Finite differences saw no change of the loss in any variable; see finite_diff_rel_step.",
        "Give longer steps by finite_diff_rel_step, or the gradient.",
    ),
    99: Outcome(False, "`callback` raised `StopIteration`.", "As your callback meant it."),
}

WINDOW = 20  # iterations over which ftol looks for progress
SMALL = 1e-4  # the part of the slope at the start below which a slope is no reason to doubt
ONE = np.int32(1)
IDLE = 1000  # iterations without an evaluation after which nothing more is to be expected


def judge(run: Run, steep: Array, settings: Settings) -> None:
    """Set the status of runs that are to stop; the first reason counts."""
    here, lowest, status = run.here, run.best.fun, run.status
    never = status != status
    at_best = here.fun <= lowest
    flat = (steep <= run.gtol) & at_best
    still = is_settled(run, settings) if here.x.size else never
    idle = run.waits >= WINDOW if settings.ftol else never
    reached, fallen = lowest <= settings.f_target, lowest < settings.bottom
    spent, unseen = run.nfev + settings.cost > settings.maxfev, run.unseen >= IDLE
    late = run.nit >= settings.maxiter
    if not late and not in_any_run(reached | flat | still | idle | fallen | spent | unseen):
        return
    small = at_best & negate(run.blocked) & (steep <= SMALL * run.steep)
    idle = idle & negate(come_closer(run, idle & negate(small)))
    settled = still | idle
    proven = settled & small
    quiet = run.search.phase <= 0  # the others are in the middle of a search
    reasons = {6: reached, 0: flat, 4: proven & still, 5: proven & idle, 11: fallen}
    for code, reason in (reasons | {1: late, 2: spent, 12: unseen}).items():
        status = np.where(quiet & (status == RUNNING) & reason, code, status)[()]
    run.status = status.astype(np.int8)
    doubtful = settled & negate(proven) & (status == RUNNING)
    doubtful = doubtful & (run.search.phase == 0)  # after a search, a step comes first
    if in_any_run(doubtful):
        reason = np.where(run.blocked, 8, np.where(still, 4, 5)).astype(np.int8)
        search_again(run, doubtful, reason, settings)


def largest_step(dtype: np.dtype[Any]) -> float:
    """Return how long steps may get; a loss that falls below minus that is taken as unbounded."""
    return float(np.finfo(dtype).max ** 0.75)


def wait(run: Run, settings: Settings) -> None:
    """Count the iterations since the lowest loss fell by more than ftol, relative to it."""
    if settings.ftol:
        lowest = run.best.fun
        fell = run.level - lowest > settings.ftol * np.maximum(abs(lowest), run.scale)
        run.level = choose_by_run(fell, lowest, run.level)
        run.waits = choose_by_run(fell, 0 * run.waits, run.waits + ONE)
        first = run.waits == ONE
        if in_any_run(first):
            run.reach = choose_by_run(first, longest_step(run), run.reach)


def come_closer(run: Run, waiting: Array) -> Array:
    """Tell which waiting runs take shorter steps now, which is progress; they wait anew."""
    if not in_any_run(waiting):
        return waiting
    closer = waiting & (longest_step(run) <= run.reach / 2)
    run.waits = choose_by_run(closer, 0 * run.waits, run.waits)
    return closer


def longest_step(run: Run) -> Array:
    """Return the longest step size along which there is a slope."""
    return largest_magnitude(run.state.delta * (run.along != 0)).astype(float)


def is_settled(run: Run, settings: Settings) -> Array:
    """Tell where no step size exceeds xtol; a coordinate without slope does not move."""
    x, delta, unit, xtol = run.here.x, run.state.delta, run.unit, settings.xtol
    if run.directions is None:
        numbers = delta, x, unit, run.slope
        if isinstance(xtol, float):  # looking at one coordinate is cheap
            still = within(xtol, *map(first_coordinate, numbers))
            if not in_any_run(still):
                return still
        return in_all_coordinates(within(xtol, *numbers))
    longest = xtol if isinstance(xtol, float) else xtol.max()
    longest = longest * np.maximum(largest_magnitude(x), largest_magnitude(unit))
    longest = x.shape[-1] ** 0.5 * longest  # of a longer step, some length is greater
    still = delta.T[-1] * (run.along.T[-1] != 0) <= longest  # looking at one is cheap
    if in_any_run(still):
        still = longest_step(run) <= longest
    if not in_any_run(still):
        return still
    lengths = directions.lengths(run.directions, delta * (run.along != 0))
    return still & in_all_coordinates(within(xtol, lengths, x, unit, run.slope))


def within(xtol: Any, delta: Array, x: Array, unit: Array, slope: Array) -> Array:
    """Tell where Δ is within xtol."""
    small: Array = (delta <= xtol * abs(x)) | (delta <= xtol * unit) | (slope == 0)
    return small


def relative_gtol(steep: Array) -> Array:
    """1e-8, but relative to a start whose gradient is small: Rprop works where it vanishes."""
    return 1e-8 * np.minimum(1, steep)
