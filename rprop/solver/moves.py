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
NONE = np.int8(0)

GROWTH = 2  # the most by which Δ grows towards the zero, where that is further than the rule goes
REACH = 3  # distances to the zero that a move may go


def secant(before: RpropState, after: RpropState, slope: Array, last_slope: Array) -> RpropState:
    """Return the state after the rule's step with its moves changed, along any coordinates."""
    move, delta, update = before.prev_update, after.delta, after.prev_update
    agreement = np.sign(slope) * before.prev_sign
    known = move != 0
    flips = (agreement < 0) & known
    shrinks = (agreement > 0) & known & (np.abs(slope) < np.abs(last_slope))
    # Where the zero is, as a part of the last move.
    part = slope / np.where(slope == last_slope, 1, slope - last_slope)
    kept = after.prev_sign
    if flips.any():
        back = np.minimum(np.maximum(part, LEAST), MOST)
        update, kept = np.where(flips, -move * back, update), np.where(flips, NONE, kept)
    if shrinks.any():
        way = np.abs(move * part)
        grown = np.maximum(delta, np.minimum(way, GROWTH * before.delta))
        delta = np.where(shrinks, grown, delta).astype(after.delta.dtype)
        update = np.where(shrinks, -np.sign(slope) * np.minimum(delta, REACH * way), update)
    return RpropState(delta, kept, update.astype(after.delta.dtype), after.prev_loss)
