"""Learned directions: a change of coordinates around the step, for losses with rotated valleys.

Rprop sees one coordinate at a time, so a valley across the axes is invisible to it. Here the
coordinates are the slopes along k directions, which `renewal` learns, and what is left of the
gradient. Pairs of a move and the change of the gradient over it are collected for the next renewal.
Where there are more variables than directions, a step costs O(n k).

What is left moves along the axes, every coordinate with its own Δ, or as one more direction: that of
its slope.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rprop.rule.state import Array, RpropState
from rprop.solver.per_run import in_any_run
from rprop.solver.run import Directions, Run

__all__ = [
    "adopt",
    "axes",
    "carry",
    "enter",
    "is_due",
    "known",
    "learn",
    "leave",
    "lengths",
    "mix",
    "slopes_along",
    "split",
    "squared",
    "times",
]

MOST, LEAST = 50, 5  # directions
MEMORY = 200_000  # numbers that directions may take: with more variables there are fewer of them
PERIOD = 6  # moves between two renewals


def axes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Directions:
    """Begin with the axes, with nothing learned."""
    *many, n = shape
    k = min(n, max(LEAST, min(MOST, MEMORY // max(n, 1))))
    wide = np.result_type(dtype, np.float64)
    vectors = np.zeros((*many, k, n), wide)
    if k == n:
        vectors[...] = np.eye(n)
    moves = np.zeros((*many, PERIOD, n), wide)
    none = np.zeros(many, np.int32)[()]
    return Directions(vectors, np.zeros((*many, k)), none != 0, moves, moves.copy(), none)


def adopt(run: Run, learned: bool) -> None:
    """Let runs go on along directions to be learned, or along the axes again."""
    if learned == (run.directions is not None):
        return
    delta, sign, update, loss = run.state
    if learned:  # nothing is, yet, so that nothing changes
        run.directions = axes(run.here.x.shape, run.here.x.dtype)
        sign, update = (enter(run.directions, u).astype(u.dtype) for u in (sign, update))
        delta = carry(run.directions, delta)
    else:
        assert run.directions is not None
        delta = lengths(run.directions, delta).astype(delta.dtype)
        sign, update = np.zeros(delta.shape, sign.dtype), np.zeros_like(delta)
        run.directions = None
    run.state = RpropState(delta, sign, update, loss)


def split(directions: Directions) -> tuple[Array, bool]:
    """Return the directions, and whether they span everything, so that nothing is left."""
    k, n = directions.vectors.shape[-2:]
    return directions.vectors, k == n


def known(directions: Directions) -> int | None:
    """Return how many coordinates are directions, if something is left."""
    v, whole = split(directions)
    return None if whole else v.shape[-2]


def times(vectors: Array, x: Array) -> Array:
    """Return the products of vectors with x."""
    return np.matmul(vectors, x[..., None])[..., 0]


def mix(numbers: Array, vectors: Array) -> Array:
    """Return a sum of vectors."""
    return np.matmul(numbers[..., None, :], vectors)[..., 0, :]


def enter(directions: Directions, x: Array) -> Array:
    """Express a gradient or a move along the directions, and what is left of it along the axes."""
    v, whole = split(directions)
    z = times(v, x)
    if whole:
        return z
    k = v.shape[-2]
    result: Array = np.empty((*x.shape[:-1], k + x.shape[-1]), z.dtype)
    result[..., :k] = z
    np.subtract(x, mix(z, v), out=result[..., k:])
    return result


def slopes_along(run: Run) -> Array:
    """Return the slope of runs along the directions of their steps."""
    if run.directions is None:
        return run.slope
    return enter(run.directions, run.slope).astype(run.slope.dtype, copy=False)


def leave(directions: Directions, u: Array) -> Array:
    """Express a move in the coordinates of the user; steps along the axes are projected first."""
    v, whole = split(directions)
    if whole:
        return mix(u, v)
    k = v.shape[-2]
    rest = u[..., k:]
    move = mix(u[..., :k] - times(v, rest), v)
    move += rest
    return move


def carry(directions: Directions, delta: Array) -> Array:
    """Turn step sizes along the axes into step sizes along the directions."""
    v, whole = split(directions)
    squares, exponent = squared(delta, v.dtype)
    along = np.ldexp(np.sqrt(times(v * v, squares)), exponent).astype(delta.dtype)
    return along if whole else np.concatenate([along, delta], axis=-1)


def squared(delta: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Square what was divided by a power of two, so that squares are numbers; return its exponent."""
    exponent: Array = np.frexp(delta.max(axis=-1, initial=0, keepdims=True))[1]
    part = np.ldexp(delta.astype(dtype), -exponent)
    part *= part
    return part, exponent


def lengths(directions: Directions, delta: Array) -> Array:
    """Turn step sizes along the directions into step sizes along the axes."""
    v, whole = split(directions)
    k = v.shape[-2]
    squares, exponent = squared(delta, v.dtype)
    total = mix(squares[..., :k], v * v)
    return np.ldexp(np.sqrt(total if whole else total + squares[..., k:]), exponent)


def learn(directions: Directions, move: Array, change: Array, says: Array) -> Directions:
    """Collect a move and the change of the gradient over it, in the runs that it says something of."""
    if not in_any_run(says):
        return directions
    moves, changes, collected = directions.moves, directions.changes, directions.collected
    if says.ndim == 0:
        moves[collected], changes[collected] = move, change
    else:
        rows = np.flatnonzero(says)
        places = rows, collected[rows]
        moves[places], changes[places] = move[rows], change[rows]
    return directions._replace(collected=collected + says.astype(np.int32))


def is_due(directions: Directions) -> Array:
    """Tell in which runs the directions are to be renewed."""
    due: Array = directions.collected >= directions.moves.shape[-2]
    return due
