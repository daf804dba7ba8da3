"""The learned basis: a change of coordinates around the step, for losses with rotated valleys.

Rprop sees one coordinate at a time, so a valley across the axes is invisible to it. Here the
coordinates are ``z = Qᵀx`` with Q the eigenvectors of a running mean of ``y yᵀ / |y|²``, where y
is the change of the gradient over one move: directions in which the gradient changes alike
become one coordinate. The rule itself does not know.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rprop.rule.state import Array, RpropState

DECAY = 0.95  # of the running mean, per move
PERIOD = 10  # moves between two renewals of the basis, or n if that is more
LIMIT = 500  # variables: a step costs O(n²), a renewal O(n³)


class Basis(NamedTuple):
    """An orthogonal basis, and what it is learned from; leading axes are independent."""

    vectors: Array  # (..., n, n) Q, one basis vector a column
    memory: Array  # (..., n, n) the running mean
    age: Array  # (...) moves since the basis was renewed


def identity(shape: tuple[int, ...]) -> Basis:
    """Start from the coordinate axes, with nothing learned."""
    memory = np.zeros((*shape, shape[-1]))
    return Basis(memory + np.eye(shape[-1]), memory, np.zeros(shape[:-1], int)[()])


def enter(basis: Basis, slope: Array) -> Array:
    """Express gradients in the basis: Qᵀg."""
    return np.matmul(slope[..., None, :], basis.vectors)[..., 0, :]


def leave(basis: Basis, update: Array) -> Array:
    """Express moves in the coordinates of the user: Qu."""
    return np.matmul(basis.vectors, update[..., None])[..., 0]


def learn(basis: Basis, state: RpropState, change: Array) -> tuple[Basis, RpropState]:
    """Take in a change of the gradient; from time to time renew the basis."""
    size = np.abs(change).max(axis=-1, keepdims=True)
    moved = (size[..., 0] > 0) & np.isfinite(size[..., 0])
    unit = np.where(moved[..., None], change, 0) / np.where(moved[..., None], size, 1)
    unit = unit / np.where(moved, np.sqrt((unit * unit).sum(axis=-1)), 1)[..., None]
    keep = np.where(moved, DECAY, 1.0)[..., None, None]
    memory = keep * basis.memory + (1 - keep) * unit[..., None] * unit[..., None, :]
    basis = Basis(basis.vectors, memory, basis.age + moved)
    due = basis.age >= max(PERIOD, change.shape[-1])
    return renew(basis, state, due) if due.any() else (basis, state)


def renew(basis: Basis, state: RpropState, due: Array) -> tuple[Basis, RpropState]:
    """Turn to the eigenvectors of what was learned; Δ is carried over, signs are forgotten."""
    vectors, delta = basis.vectors.copy(), state.delta.copy()
    _, vectors[due] = np.linalg.eigh(basis.memory[due].astype(float))  # longdouble it does not do
    turn = np.matmul(basis.vectors[due].swapaxes(-1, -2), vectors[due])
    delta[due] = np.sqrt(np.matmul(delta[due][..., None, :] ** 2, turn**2))[..., 0, :]
    forget = ~due[..., None]
    return (
        Basis(vectors, basis.memory, np.where(due, 0, basis.age)[()]),
        state._replace(
            delta=delta, prev_sign=state.prev_sign * forget, prev_update=state.prev_update * forget
        ),
    )
