"""Secant moves: how far the line through the last two slopes of a coordinate says to go.

The rule decides how Δ adapts. Where the slope of a coordinate changed sign, the zero of the line
tells how much of the last move to take back, instead of all or nothing; where it kept its sign and
got smaller, the zero limits how far the next move goes, and Δ may grow faster towards it.
"""

from __future__ import annotations

import numpy as np

from rprop.rule.state import Array, RpropState

__all__ = ["secant"]

PART = 0.05, 0.95  # of the last move that is taken back, at least and at most

GROWTH = 2  # the most by which Δ grows towards the zero, where that is further than the rule goes
REACH = 3  # distances to the zero that a move may go


def secant(before: RpropState, after: RpropState, slope: Array, last_slope: Array) -> RpropState:
    """Return the state after the rule's step with its moves changed, along any coordinates."""
    sign = np.sign(slope)
    agreement = sign * before.prev_sign
    move = before.prev_update
    zero = slope / np.where(slope == last_slope, 1, slope - last_slope)  # in last moves, back
    flips = (agreement < 0) & (move != 0)
    back = -move * np.clip(zero, *PART)
    shrinks = (agreement > 0) & (np.abs(slope) < np.abs(last_slope)) & (move != 0)
    way = np.abs(move * zero)  # to the zero
    delta = np.where(
        shrinks, np.maximum(after.delta, np.minimum(way, GROWTH * before.delta)), after.delta
    )
    ahead = -sign * np.minimum(delta, REACH * way)
    update = np.where(flips, back, np.where(shrinks, ahead, after.prev_update))
    kept = np.where(flips, 0, after.prev_sign).astype(np.int8)
    return after._replace(
        delta=delta.astype(after.delta.dtype),
        prev_sign=kept,
        prev_update=update.astype(after.delta.dtype),
    )
