"""Secant moves: how far the line through the last two slopes of a coordinate says to go.

The rule decides how Δ adapts. Where the slope of a coordinate changed sign, the zero of the line
tells how much of the last move to take back, instead of all or nothing; where it kept its sign and
got smaller, the zero limits how far the next move goes, and Δ may grow faster towards it. Where no
zero lies ahead, Δ grows faster, too, along coordinates of which nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rprop.rule.state import Array, RpropState
from rprop.rule.step import scalars
from rprop.solver.per_run import choose_by_run, in_any_run, in_every_run, limit, pick

__all__ = ["glide", "secant"]

LEAST, MOST = 0.05, 0.95  # parts of the last move that are taken back
GROWTH = 2  # the most by which Δ grows towards the zero, where that is further than the rule goes
OPEN = 1.6  # the growth of Δ where no zero lies ahead and nothing is learned
REACH = 3  # distances to the zero that a move may go
BLOCK = 8192  # numbers at a time, so that temporaries stay in the cache


def secant(
    before: RpropState,
    after: RpropState,
    slope: Array,
    last_slope: Array,
    forgets: bool,
    known: int | None = None,
    joint: Any = np.False_,
) -> None:
    """Change the moves in the state `after` the rule's step, along any coordinates.

    Where the rule `forgets` the sign of a coordinate that changed it, that is done already. Of
    coordinates from `known` on nothing is learned; in `joint` runs they are one, and left to `glide`.
    """
    fields = *before[:3], *after[:3], slope, last_slope
    if known is None:
        in_blocks(forgets, 0, fields)
        return
    in_blocks(forgets, 0, [field[..., :known] for field in fields])
    if in_every_run(joint):
        return
    rest = [field[..., known:] for field in fields]
    if in_any_run(joint):
        rows = np.flatnonzero(~joint)
        some = [field[rows] for field in rest]
        in_blocks(forgets, OPEN, some)
        for field, changed in zip(rest[3:6], some[3:6], strict=True):
            field[rows] = changed
    else:
        in_blocks(forgets, OPEN, rest)


def in_blocks(forgets: bool, further: float, fields: Sequence[Array]) -> None:
    """Change moves so that temporaries are small."""
    slope = fields[-1]
    if slope.size <= BLOCK:
        change_moves(forgets, further, *fields)
        return
    count = max(1, BLOCK * len(slope) // slope.size)
    for start in range(0, len(slope), count):
        change_moves(forgets, further, *(field[start : start + count] for field in fields))


def change_moves(
    forgets: bool,
    further: float,
    last_delta: Array,
    last_sign: Array,
    move: Array,
    delta: Array,
    kept: Array,
    update: Array,
    slope: Array,
    last_slope: Array,
) -> None:
    """Change Δ, the remembered sign and the update, of which one was made after `move`."""
    least, most, growth, reach = scalars(move.dtype, LEAST, MOST, GROWTH, REACH)
    agreement = slope * (last_sign * move.astype(bool))  # of what moved; |slope| with a sign
    flips = agreement < 0
    shrinks = (agreement > 0) & (agreement < np.abs(last_slope))
    # Where the zero is, as a part of the last move.
    part = (slope / (slope - last_slope)).astype(move.dtype, copy=False)
    if np.count_nonzero(flips):
        # Of slopes beyond any number the part is NaN: most of the move is taken back.
        np.putmask(update, flips, -(move * np.fmax(np.fmin(part, most), least)))
        if not forgets:
            np.putmask(kept, flips, 0)
    if np.count_nonzero(shrinks):
        way = np.abs(move * part)
        np.putmask(delta, shrinks, np.maximum(delta, np.minimum(way, growth * last_delta)))
        np.putmask(update, shrinks, np.copysign(np.minimum(delta, reach * way), update))
    if further:
        onwards = (agreement > 0) & ~shrinks
        if np.count_nonzero(onwards):
            grown = scalars(move.dtype, further)[0] * last_delta
            np.putmask(delta, onwards, np.maximum(delta, grown))
            np.putmask(update, onwards, np.copysign(delta, update))


def glide(
    runs: Array,
    k: int,
    before: RpropState,
    after: RpropState,
    slope: Array,
    last_slope: Array,
    step_sizes: tuple[Any, Any],
) -> None:
    """Change the moves in the state `after` the rule's step, where all coordinates from k on are one.

    That is in the given `runs`, and the one direction is that of the slope. The line through the
    slopes where the last move began and ended, along that move, tells how far to go, as a multiple
    of the slope [1]_; and no more than GROWTH times as far as last time.

    References
    ----------
    .. [1] J. Barzilai and J. M. Borwein, "Two-point step size gradient methods", IMA Journal of
           Numerical Analysis 8, 1988, 141-148.
    """
    if not in_any_run(runs):
        return
    fields = before.prev_update, after.delta, after.prev_update, slope, last_slope
    move, delta, update, slope, last_slope = (field[..., k:] for field in fields)
    square = np.vecdot(move, move, dtype=slope.dtype)
    bent = np.vecdot(move, slope - last_slope)
    size = np.sqrt(np.vecdot(slope, slope))
    far = np.minimum(pick(bent > 0, square / bent, np.inf), GROWTH * np.sqrt(square) / size)
    runs = runs & (size > 0) & (far > 0) & (far < np.inf)  # otherwise the rule has said how far
    if in_any_run(runs):
        moved = limit(far[..., None] * np.abs(slope), *step_sizes).astype(delta.dtype)
        delta[...] = choose_by_run(runs, moved, delta)
        sign = np.sign(slope).astype(delta.dtype)
        update[...] = choose_by_run(runs, -sign * moved, update)
