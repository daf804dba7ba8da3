"""The renewal of directions: what the pairs collected since the last one say of the Hessian.

Directions are eigenvectors of an estimate M of the Hessian. M is the sum of what the symmetric
rank-one formula adds for each move s that changed the gradient by y:

    M ← M + r rᵀ / (rᵀ s),   r = y - M s,   from M = 0 [1]_.

Its eigenvalues choose directions, and each new Δ is drawn to where they put the zero of the slope;
from there on, how long steps are is the business of the rule. Where there are more variables than
directions, M is kept as the k eigenpairs of largest magnitude, so that no matrix of n rows and
columns is ever made.

Where all coordinates bend alike, M begins with their curvature γ instead of 0, so that small
eigenvalues are kept, too, and what is left beside the directions is one more direction.

References
----------
.. [1] A. R. Conn, N. I. M. Gould and Ph. L. Toint, "Convergence of quasi-Newton matrices generated
       by the symmetric rank one update", Mathematical Programming 50, 1991, 177-195.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from rprop.rule.state import Array, RpropState
from rprop.solver.directions import mix, split, squared, times
from rprop.solver.per_run import choose_by_run, in_any_run, pick
from rprop.solver.run import Directions

__all__ = ["renew"]

APART = 1e-3  # the part of the changes of slope against moves up to which axes are good enough
ALIKE = 0.75  # the cosine between sizes of moves and of changes of slope that counts as such
PARALLEL = 1e-8  # the cosine between r and s below which the formula is not stable
DEPENDENT = 1e-10  # the part of the squares of vectors below which they depend on each other
DRAWN = 0.1, 2  # times Δ: how far it is drawn to the zero of the slope along a new direction
BLOCK = 2048  # coordinates at a time, so that temporaries stay in the cache
NOTHING = 1e-12  # the part of the largest eigenvalue below which one says nothing


def renew(
    directions: Directions, state: RpropState, slope: Array, pinned: Array | None, joins: bool
) -> tuple[Directions, RpropState]:
    """Turn to the eigenvectors of what was learned; Δ is carried over, signs are forgotten.

    `pinned` are coordinates that bounds hold; they keep to themselves. Where it `joins`, what is
    left may become one direction.
    """
    old, whole = split(directions)
    k = old.shape[-2]
    first = stays = ~(directions.values != 0).any(axis=-1)
    if stays.any():
        stays = stays & on_their_own(directions)
    if stays.all():
        return directions._replace(collected=0 * directions.collected), state
    joint, level = directions.joint, 0 * directions.values.T[0]
    if joins and not whole and in_any_run(first | joint):
        alike, level = bend(directions, pinned)
        joint = joint | (first & alike)
        level = pick(joint, level.astype(float), np.float64(0))
    memory, weights = estimate(directions, level)
    if pinned is not None:
        memory = np.where(pinned[..., None, :], 0, memory)
    vectors, values, parts = eigenvectors(memory, weights, k, pinned)
    vectors = vectors.astype(old.dtype, order="C", copy=False)  # one layout: bits depend on it
    values = np.where(values != 0, values + level[..., None], 0)
    delta = state.delta.astype(old.dtype)
    carried = carry_over(old, vectors, delta, parts)
    curved = values > NOTHING * np.abs(values).max(axis=-1, keepdims=True)
    along = times(vectors, slope)
    way = np.abs(along) / np.where(curved, values, 1)
    if joins and in_any_run(joint):
        rest = np.abs(slope - mix(along, vectors))
        size = np.sqrt(np.vecdot(rest, rest))
        far = draw(norm(delta[..., k:]), size / level)
        moves = joint & (size > 0) & (size < np.inf)
        delta[..., k:] = choose_by_run(moves, rest * (far / size)[..., None], delta[..., k:])
    delta[..., :k] = np.where(curved, draw(carried, way), carried)
    forgotten = RpropState(
        delta.astype(state.delta.dtype),
        0 * state.prev_sign,
        0 * state.prev_update,
        state.prev_loss,
    )
    renewed = directions._replace(vectors=vectors, values=values, joint=joint)
    if stays.any():
        renewed = choose_by_run(stays, directions, renewed)
        forgotten = choose_by_run(stays, state, forgotten)
    return renewed._replace(collected=0 * directions.collected), forgotten


def carry_over(
    old: Array, vectors: Array, delta: Array, parts: tuple[Array, Array] | None
) -> Array:
    """Return step sizes along new directions, by how much of what is moved along is in each."""
    k, n = old.shape[-2:]
    squares, exponent = squared(delta, old.dtype)
    if parts is None:
        turn = np.matmul(old, transposed(vectors))
        new = vectors - np.matmul(transposed(turn), old) if k < n else vectors
    else:
        turn, new = parts
    total = mix(squares[..., :k], turn * turn)
    if k < n:
        total = total + times(new * new, squares[..., k:])
    return np.ldexp(np.sqrt(total), exponent)


def norm(delta: Array) -> Array:
    """Return the Euclidean norm, whatever the size of the numbers."""
    squares, exponent = squared(delta, delta.dtype)
    return np.ldexp(np.sqrt(squares.sum(axis=-1)), exponent[..., 0])


def draw(carried: Array, way: Array) -> Array:
    """Draw step sizes to where slopes are 0."""
    # Where NaN does not say where that is, they get as small as they may.
    drawn: Array = np.fmin(np.fmax(way, DRAWN[0] * carried), DRAWN[1] * carried)
    return drawn


def estimate(directions: Directions, level: Array) -> tuple[Array, Array]:
    """Return vectors and weights of the estimate of the Hessian, beside `level` times the identity.

    What was collected is taken in.
    """
    old, values, _, moves, changes, _ = directions
    k = old.shape[-2]
    values = np.where(values != 0, values - level[..., None], 0)
    vectors = np.concatenate([old, changes], axis=-2)
    rests = vectors[..., k:, :]
    rests -= level[..., None, None] * moves
    rests -= np.matmul(np.matmul(moves, transposed(old)) * values[..., None, :], old)
    weights, parts = np.zeros(rests.shape[:-1]), np.zeros(rests.shape[:-1] + rests.shape[-2:-1])
    least = PARALLEL * length(moves)
    for i in range(rests.shape[-2]):
        rest = rests[..., i, :]
        if i:
            rest -= mix(parts[..., :i, i], rests[..., :i, :])
        products = times(moves, rest).T
        own = products[i]
        says = abs(own) > least.T[i] * np.sqrt(np.vecdot(rest, rest))
        weights.T[i] = weight = pick(says, 1 / own, 0)
        parts[..., i, :] = (products * weight).T
    rests[weights == 0] = 0
    sizes = length(rests)
    rests /= sizes[..., None]
    return vectors, np.concatenate([values, weights * sizes * sizes], axis=-1)


def bend(directions: Directions, pinned: Array | None) -> tuple[Array, Array]:
    """Tell where all coordinates of what is left bend alike, and how much the loss bends.

    Then the sizes of moves and of the changes of slope over them are proportional.
    """
    moves = rests(directions, directions.moves, pinned)
    changes = rests(directions, directions.changes, pinned)
    product = np.vecdot(moves, changes).sum(axis=-1)
    moved, changed = (moves * moves).sum(axis=-2), (changes * changes).sum(axis=-2)
    square = changed.sum(axis=-1)
    alike = np.sqrt(moved * changed).sum(axis=-1) > ALIKE * np.sqrt(moved.sum(axis=-1) * square)
    return alike, square / np.where(product > 0, product, np.inf)


def rests(directions: Directions, rows: Array, pinned: Array | None) -> Array:
    """Return what is left of moves or changes of slope, without coordinates that bounds hold."""
    if pinned is not None:
        rows = np.where(pinned[..., None, :], 0, rows)
    v = directions.vectors
    left: Array = rows - np.matmul(np.matmul(rows, transposed(v)), v)
    return left


def on_their_own(directions: Directions) -> Array:
    """Tell where coordinates do not interact: none had its slope change against its own move.

    So it is in a sum of convex functions of one variable each, whose directions are the axes.
    """
    total, product = 0.0, 0.0
    for start in range(0, directions.moves.shape[-1], BLOCK):
        cut = ..., slice(start, start + BLOCK)
        moves, changes = directions.moves[cut], directions.changes[cut]
        total = total + np.vecdot(np.abs(moves), np.abs(changes))
        product = product + np.vecdot(moves, changes)
    share: Array = ((total - product) / 2 / np.where(total > 0, total, 1)).mean(axis=-1)
    return share <= APART


def eigenvectors(
    vectors: Array, weights: Array, k: int, pinned: Array | None
) -> tuple[Array, Array, tuple[Array, Array] | None]:
    """Return the k eigenvectors of Σ wᵢ vᵢ vᵢᵀ with the largest eigenvalues in magnitude.

    The first k of the v are orthonormal, or 0 as their w, but for what of them is `pinned`. Return the
    eigenvalues, too, and the parts of eigenvectors along those k, and beside them, if that is known.
    """
    vectors = vectors.astype(float, copy=False)  # LAPACK has no longdouble
    weights = weights.astype(float, copy=False)
    weights = np.where(np.abs(weights) < np.inf, weights, 0)  # and cannot do with more than float
    n, few = vectors.shape[-1], vectors.shape[-1] > vectors.shape[-2]
    if few:
        parts, back = frame(vectors, 0 if pinned is not None else k)
        values, inner = diagonalise(np.matmul(transposed(parts) * weights[..., None, :], parts))
        columns = np.matmul(back, inner)
    else:
        full = np.matmul(transposed(vectors) * weights[..., None, :], vectors)
        if pinned is not None:  # far from the other eigenvalues, and from each other
            scale = np.abs(full).sum(axis=(-1, -2))[..., None] + 1
            held = np.where(pinned, scale * (2 + np.arange(n) / n), 0)
            full = full + held[..., None] * np.eye(n)
        values, columns = diagonalise(full)
        if pinned is not None:
            share = np.matmul((1.0 * pinned)[..., None, :], columns * columns)[..., 0, :]
            values = np.where(share > 0.5, 0, values)
        if k == n:
            return transposed(columns), values, None
    order = np.argsort(-np.abs(values), axis=-1)[..., :k]
    values = np.take_along_axis(values, order, axis=-1)
    real = np.abs(values) > NOTHING * np.abs(values[..., :1])
    basis = transposed(
        np.take_along_axis(columns, order[..., None, :], axis=-1) * real[..., None, :]
    )
    if not few:
        return basis, values * real, None
    if pinned is not None:
        return np.matmul(basis, vectors), values * real, None
    new = np.matmul(basis[..., k:], vectors[..., k:, :])
    turn = basis[..., :k]
    return np.matmul(turn, vectors[..., :k, :]) + new, values * real, (transposed(turn), new)


def frame(vectors: Array, k: int) -> tuple[Array, Array]:
    """Return how vectors are made of orthonormal ones, and how those are made of vectors.

    The first k are orthonormal themselves, or 0. What the others have of them is taken away.
    """
    others, count = vectors[..., k:, :], vectors.shape[-2]
    parts = np.zeros((*vectors.shape[:-1], count))
    parts[..., range(count), range(count)] = 1
    back = parts.copy()
    # Once leaves errors of rounding where little is left, and directions would drift apart.
    for more in (True, False) if k else (False,):
        shares = np.matmul(others, transposed(vectors[..., :k, :]))
        others -= np.matmul(shares, vectors[..., :k, :])
        # Their products tell as much as a QR factorisation would, in an eighth of the time.
        squares, turns = diagonalise(np.matmul(others, transposed(others)))
        apart = squares > DEPENDENT * np.maximum(squares[..., -1:], 1.0 * (k > 0))
        sizes = np.sqrt(np.where(apart, squares, 1))
        made = parts[..., k:, k:]
        parts[..., k:, :k] += np.matmul(made, shares)
        parts[..., k:, k:] = np.matmul(made, turns * (apart * sizes)[..., None, :])
        back[..., k:, k:] = turns = turns * (apart / sizes)[..., None, :]
        if more:
            others[...] = np.matmul(transposed(turns), others)
    return parts, back


def diagonalise(matrices: Array) -> tuple[Array, Array]:
    """Return eigenvalues and eigenvectors; the fast way fails for some matrices, which are rare."""
    try:
        values, vectors = np.linalg.eigh(matrices)
    except np.linalg.LinAlgError:
        if matrices.ndim == 2:
            values, vectors = scipy.linalg.eigh(matrices, driver="ev")
        else:
            pairs = [diagonalise(matrix) for matrix in matrices]
            values, vectors = (np.array(part) for part in zip(*pairs, strict=True))
    return values, vectors


def length(x: Array) -> Array:
    """Return the Euclidean norm, or 1 where it is 0."""
    size = np.sqrt(np.vecdot(x, x))
    return np.where(size > 0, size, 1)[()]


def transposed(vectors: Array) -> Array:
    """Return vectors as columns."""
    return vectors.swapaxes(-1, -2)
