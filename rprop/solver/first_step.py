"""How long a step is to begin with: guessed from the start, then searched for.

The search is used again where a run goes on from its best point, which is where `stopping` doubts
that it has converged. One trial is one evaluation, so a search can be stopped and resumed anywhere.
"""

from __future__ import annotations

import numpy as np

from rprop.rule.state import Array, RpropState
from rprop.solver import directions
from rprop.solver.bounds import slope_at
from rprop.solver.per_run import (
    choose_by_run,
    in_all_coordinates,
    in_any_run,
    largest_magnitude,
    limit,
    negate,
    pick,
)
from rprop.solver.run import Point, Run, Search, Settings

__all__ = [
    "absorb_trial",
    "guess",
    "no_search",
    "propose_trial",
    "search_again",
    "search_anew",
    "search_first",
]

DONE, REST, LOOK, SHRINK, GROW, OPPOSITE = np.arange(-1, 5, dtype=np.int8)
TIMES = 4.0  # how much longer or shorter the next trial is
SHORTEST, LONGEST = TIMES**-30, TIMES**15  # trials as parts of the first
STRAIGHT = 0.9  # the part of its slope that a loss has kept after a step too short to show a curve
#: The status of a run whose first search finds no smaller loss, and those that searches end with.
FIRST, UNUSABLE, WRONG, SHORT = np.array([10, 8, 9, 12], np.int8)
LONGER = 1024  # how much longer than the shortest trial the one against the gradient is
FEW = 10  # variables that all have a factor of their own
GOLDEN = (5**0.5 - 1) / 2


def guess(x: Array, lower: Array, upper: Array) -> Array:
    """Return Δ0 from the start: a tenth of |x|, where x is 0 of its median, at most of the box.

    Fixed factors from 0.9 to 1 keep the run off the ray through 0, where symmetric functions have
    their saddles. No two are alike, so that it leaves the diagonals, too. With more than a few
    variables only equal ones have equal factors: the symmetry of large problems is what makes them
    easy.
    """
    size = np.abs(x)
    size = np.where((size < np.inf) & (size > 1e3 * np.finfo(x.dtype).tiny), size, 0)
    if not size.all():
        count = np.count_nonzero(size, axis=-1, keepdims=True)
        rising = np.sort(np.where(size > 0, size, np.inf), axis=-1)
        halves = [
            np.take_along_axis(rising, k, axis=-1) / 2 for k in ((count - 1) // 2, count // 2)
        ]
        size = np.where(size > 0, size, np.where(count > 0, sum(halves), 1))
    with np.errstate(over="ignore"):
        width = np.where(upper > lower, upper - lower, np.inf)
    number = np.arange(1, x.shape[-1] + 1)
    mantissa = np.frexp(size)[0]  # the same in any unit that is a power of two
    factors = 1 - 0.1 * (GOLDEN * number % 1) if x.shape[-1] <= FEW else 0.8 + 0.2 * mantissa
    return (np.float64(0.1) * factors * np.minimum(size, width)).astype(x.dtype)


def no_search(many: tuple[int, ...], phase: np.int8 = REST) -> Search:
    """Return the search of runs that search for nothing."""
    zeros = np.zeros(many)[()]
    return Search(
        zeros.astype(np.int8) + phase, zeros + 1, zeros.astype(np.int8), zeros > 0, zeros > 0
    )


def search_first(run: Run) -> None:
    """Let runs begin with a search."""
    search = no_search(run.nfev.shape, LOOK)
    run.search = search._replace(reason=search.reason + FIRST)


def search_anew(run: Run, rows: Array) -> None:
    """Let runs whose loss is another one begin with a search from the step sizes they have."""
    delta = run.state.delta
    if run.directions is not None:
        delta = directions.lengths(run.directions, delta)
    factor = largest_magnitude(delta) / largest_magnitude(run.unit)
    search = no_search(run.nfev.shape, LOOK)
    search = search._replace(factor=factor.astype(float), reason=search.reason + FIRST)
    run.search = choose_by_run(rows, search, run.search)


def search_again(run: Run, rows: Array, reason: Array, settings: Settings) -> None:
    """Let some runs go on from their best points, with steps as long as the way from there."""
    way = largest_magnitude((run.here.x - run.best.x) / run.unit).astype(float)
    afresh = np.maximum(1, 0.1 * largest_magnitude(run.best.x / run.unit)).astype(float)
    run.here = choose_by_run(rows, run.best, run.here)
    run.last = choose_by_run(rows, run.best, run.last)
    run.slope = slope_at(run.here, run.lower, run.upper, settings)
    search = no_search(run.nfev.shape, LOOK)
    search = search._replace(factor=pick(way > 0, way, afresh), reason=reason)
    run.search = choose_by_run(rows, search, run.search)


def lengths(run: Run, settings: Settings) -> Array:
    """Return the step sizes of the next trial."""
    low, high = settings.step_sizes
    delta = limit(run.search.factor[..., None] * run.unit, low, high)
    return delta.astype(run.unit.dtype)


def propose_trial(run: Run, settings: Settings) -> Array:
    """Return the next trial of runs that search."""
    phase, delta = run.search.phase, lengths(run, settings)
    move = -np.sign(run.slope) * delta
    if in_any_run(phase == OPPOSITE):
        move = np.where((phase == OPPOSITE)[..., None], -move, move)
    if in_any_run(phase == GROW):  # on from the trial before, in its direction
        size = delta.shape[-1]
        signs, before = run.state.prev_sign[..., -size:], run.state.delta[..., -size:]
        move = np.where((phase == GROW)[..., None], -(signs * (delta - before)), move)
    x: Array = limit(run.here.x + move, run.lower, run.upper).astype(run.here.x.dtype)
    return x


def absorb_trial(
    run: Run, x: Array, there: Point, usable: Array, active: Array, settings: Settings
) -> None:
    """Judge a trial: steps grow while the loss falls along a line, or shrink until it does not rise.

    Once the slope has changed, the moves to come know more than a longer trial would. An equal loss
    is a plateau, and accepted, as shorter steps would not lead off it; but after a rise, steps may
    have become so short that losses are equal by rounding, which says nothing.
    """
    here, (phase, factor, reason, rose, lost) = run.here, run.search
    moved = negate(in_all_coordinates(x == here.x))
    lower, equal = usable & (there.fun < here.fun), usable & (there.fun == here.fun)
    way = x - here.x
    promised = (np.abs(run.slope) * np.abs(way)).sum(axis=-1)
    exact = settings.exact * np.abs(here.fun)  # what rounding may do to a loss
    visible = moved & (promised > exact)
    shrinks, opposes = (phase == LOOK) | (phase == SHRINK), phase == OPPOSITE
    again = reason != FIRST
    plateau = equal & ((phase == LOOK) | ((phase == SHRINK) & visible))
    found = active & moved & negate(opposes) & (lower | plateau)
    straight = np.vecdot(there.jac, way) < STRAIGHT * np.vecdot(run.slope, way)
    grows = found & lower & straight & (phase != SHRINK) & negate(again) & (factor < LONGEST)
    rose = rose | (active & usable & (there.fun > here.fun))
    lost = lost | (active & negate(usable))
    fell = here.fun - there.fun
    accept(run, x, there, found, settings)

    shortest = pick(again, max(np.min(settings.xtol), SHORTEST), SHORTEST)
    failed = active & shrinks & negate(found) & negate(visible & (factor > shortest))
    turns = failed & rose  # a look against the gradient tells a wrong one from a kink
    goes_on = active & shrinks & negate(found) & negate(failed)
    phase = pick(goes_on, SHRINK, pick(grows, GROW, pick(turns, OPPOSITE, DONE)))
    phase = pick(active, phase, run.search.phase)
    factor = pick(goes_on, factor / TIMES, pick(grows, factor * TIMES, factor))
    factor = pick(turns, factor * LONGER, factor)
    run.search = Search(phase, factor, reason, rose, lost)

    proves = (reason == 4) | (reason == 5)  # finding nothing confirms what was doubted
    nothing = pick(proves, reason, pick(rose, FIRST, pick(lost, UNUSABLE, SHORT)))
    size = np.maximum(run.scale, np.abs(here.fun))
    enough = (settings.exact + settings.ftol) * size
    against = active & opposes & lower
    # Differences know slopes to half the digits: a loss a little lower against them is no proof.
    known = settings.exact if settings.cost == 1 else settings.exact**0.5
    code = pick(against & (fell > (known + settings.ftol) * size), WRONG, nothing)
    little = found & proves & (fell <= enough)
    ended = (active & opposes) | (failed & negate(rose)) | little
    run.status = pick(ended, code, run.status)
    run.best = choose_by_run(against, there, run.best)
    run.waits = pick(found & again, 0 * run.waits, run.waits)


def accept(run: Run, x: Array, there: Point, found: Array, settings: Settings) -> None:
    """Move runs to trials that are to be kept."""
    if not in_any_run(found):
        return
    grown, first = run.search.phase == GROW, found & (run.search.reason == FIRST)
    delta, here = lengths(run, settings), run.here
    signs = np.sign(run.slope)
    undoes = settings.variant.on_flip == "undo"  # the whole step, back to the start
    origin = choose_by_run(grown, run.last if undoes else here, here)
    update, steps = (x - origin.x).astype(x.dtype), delta
    if run.directions is not None:
        update, signs = (
            directions.enter(run.directions, array).astype(array.dtype) for array in (update, signs)
        )
        steps = directions.carry(run.directions, delta)
        says = found & negate(grown)
        change = there.jac - here.jac
        run.directions = directions.learn(run.directions, x - here.x, change, says)
    if settings.secant:
        run.last_along = choose_by_run(found, run.along, run.last_along)
    # Signs and moves along directions that were learned say nothing of a step along the axes.
    signs = np.sign(signs).astype(np.int8) * first[..., None]
    signs = choose_by_run(grown, run.state.prev_sign, signs)
    begun = RpropState(steps, signs, update * first[..., None], here.fun)
    run.state = choose_by_run(found, begun, run.state)
    run.last = choose_by_run(found, origin, run.last)
    run.here = choose_by_run(found, there, here)
    run.best = choose_by_run(found, there, run.best)  # an exception of the next trial may end it
    first = first & (run.age == 0)
    run.unit = choose_by_run(first, np.minimum(run.unit, delta), run.unit)
    run.blocked = run.blocked & negate(found)
