"""Secant moves: how far the line through the last two slopes of a coordinate says to go.

The rule decides how Δ adapts. Where the slope of a coordinate changed sign, the zero of the line
tells how much of the last move to take back, instead of all or nothing; where it kept its sign and
got smaller, the zero limits how far the next move goes, and Δ may grow faster towards it.
"""

from __future__ import annotations

import numpy as np

from rprop.rule.state import Array, RpropState

__all__ = ["secant"]

LEAST, MOST = 0.05, 0.95  # parts of the last move that are taken back
GROWTH = 2  # the most by which Δ grows towards the zero, where that is further than the rule goes
REACH = 3  # distances to the zero that a move may go
BLOCK = 8192  # numbers at a time, so that temporaries stay in the cache


def secant(before: RpropState, after: RpropState, slope: Array, last_slope: Array) -> None:
    """Change the moves in the state `after` the rule's step, along any coordinates."""
    count = max(1, BLOCK * len(slope) // slope.size)
    for start in range(0, len(slope), count):
        cut = slice(start, start + count)
        change_moves(*(field[cut] for field in (*before[:3], *after[:3], slope, last_slope)))


def change_moves(
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
    agreement = np.sign(slope) * last_sign
    known = move != 0
    flips = (agreement < 0) & known
    shrinks = (agreement > 0) & known & (np.abs(slope) < np.abs(last_slope))
    # Where the zero is, as a part of the last move.
    part = (slope / (slope - last_slope)).astype(move.dtype, copy=False)
    if np.count_nonzero(flips):
        # Of slopes beyond any number the part is NaN: most of the move is taken back.
        np.putmask(update, flips, -(move * np.fmax(np.fmin(part, MOST), LEAST)))
        np.putmask(kept, flips, 0)
    if np.count_nonzero(shrinks):
        way = np.abs(move * part)
        np.putmask(delta, shrinks, np.maximum(delta, np.minimum(way, GROWTH * last_delta)))
        np.putmask(update, shrinks, np.copysign(np.minimum(delta, REACH * way), update))
