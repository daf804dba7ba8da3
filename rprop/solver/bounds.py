"""The box: as the user gives it, and what it does to gradients and moves."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import Bounds

from rprop.rule.state import Array, RpropState
from rprop.solver import directions
from rprop.solver.per_run import choose_by_run, in_all_coordinates, in_any_run, limit
from rprop.solver.run import Point, Run, Settings

__all__ = ["as_box", "free_slope", "held", "limit_anything", "slope_at", "stay_inside"]


def as_box(bounds: Any, x: Array) -> tuple[Array, Array]:
    """Return bounds in either of SciPy's formats as two arrays of the dtype of `x`."""
    if bounds is None:
        infinite = np.broadcast_to(x.dtype.type(np.inf), x.shape)
        return np.broadcast_to(x.dtype.type(-np.inf), x.shape), infinite
    if isinstance(bounds, Bounds):
        pair = bounds.lb, bounds.ub
    else:
        bounds = list(bounds)
        if len(bounds) != x.shape[-1]:
            raise ValueError(
                "The number of bounds is not compatible with the length of `x0`: "
                f"bounds must be {x.shape[-1]} pairs (low, high), or a scipy.optimize.Bounds; "
                f"got {len(bounds)}"
            )
        try:
            pair = (
                [-np.inf if low is None else low for low, _ in bounds],
                [np.inf if high is None else high for _, high in bounds],
            )
        except (TypeError, ValueError):
            raise ValueError(
                "bounds must be pairs (low, high), or a scipy.optimize.Bounds for two arrays; "
                f"got {bounds!r}"
            ) from None
    try:
        sides = [np.asarray(side, float) for side in pair]
    except (TypeError, ValueError):
        raise TypeError(f"bounds must hold numbers or None; got {bounds!r}") from None
    try:
        lower, upper = np.broadcast_arrays(*sides)
        np.broadcast_to(lower, x.shape)
    except ValueError:
        message = "The number of bounds is not compatible with the length of `x0`."
        raise ValueError(message) from None
    if np.isnan(lower).any() or np.isnan(upper).any():
        raise ValueError(f"bounds must not be NaN; got {bounds!r}")
    if (lower > upper).any():
        raise ValueError("An upper bound is less than the corresponding lower bound.")
    low = inside(lower, x.dtype, np.less, np.inf)
    high = inside(upper, x.dtype, np.greater, -np.inf)
    empty = (low > high) | (low == np.inf) | (high == -np.inf)
    if empty.any():
        at = tuple(int(i) for i in np.argwhere(empty)[0])
        raise ValueError(
            f"bounds must leave room for a finite number of dtype {x.dtype}; "
            f"got ({lower[at]}, {upper[at]})"
        )
    return np.broadcast_to(low, x.shape), np.broadcast_to(high, x.shape)


def inside(side: Array, dtype: np.dtype[Any], beyond: np.ufunc, inward: float) -> Array:
    """Convert a side of the box; rounding must not lead outside."""
    with np.errstate(all="ignore"):
        rounded = side.astype(dtype)
        nearer = np.nextafter(rounded, dtype.type(inward))
        return np.where(beyond(rounded, side), nearer, rounded)


def limit_anything(lower: Array, upper: Array) -> bool:
    """Tell whether bounds limit anything."""
    return bool((lower > -np.inf).any() or (upper < np.inf).any())


def free_slope(here: Point, lower: Array, upper: Array) -> Array:
    """Return the gradient with 0 where it pushes against a bound."""
    slope = np.where(here.x <= lower, np.minimum(here.jac, 0), here.jac)
    return np.where(here.x >= upper, np.maximum(slope, 0), slope)


def slope_at(point: Point, lower: Array, upper: Array, settings: Settings) -> Array:
    """Return the gradient that a run goes by: in a box, without what pushes against a bound."""
    return free_slope(point, lower, upper) if settings.bounded else point.jac


def stay_inside(
    run: Run, x: Array, state: RpropState, lower: Array, upper: Array
) -> tuple[Array, RpropState]:
    """Stop a step at the bounds, and remember the move that was really made."""
    here = run.here.x
    if run.directions is None:
        inside = limit(x, lower, upper)
        made = np.where(inside == x, state.prev_update, inside - here)
        return inside, state._replace(prev_update=made)
    pinned = held(run)  # along a direction, it would move with the others
    inside = limit(np.where(pinned, here, x), lower, upper)
    stopped = ~in_all_coordinates((inside == x) & ~pinned)
    if in_any_run(stopped):
        made = directions.enter(run.directions, inside - here).astype(state.prev_update.dtype)
        made = choose_by_run(stopped, made, state.prev_update)
        state = state._replace(prev_update=made)
    return inside, state


def held(run: Run) -> Array:
    """Tell which coordinates a bound holds."""
    held: Array = run.slope != run.here.jac
    return held
