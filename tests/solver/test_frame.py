"""The frame of old directions in which new ones are found, where there are many variables.

Against definitions on whole matrices. Nothing is to drift: whatever is lost of old directions stays
lost, since they are never made orthonormal again.
"""

import numpy as np
import pytest

from rprop.solver import renewal
from rprop.solver.run import Directions

from .test_directions import close, hessian, some, state_of


@pytest.fixture(autouse=True)
def quietly():
    """As the engine calls them: what overflows is judged."""
    with np.errstate(all="ignore"):
        yield


def rows_of(rng, n, k, zeros=()):
    """Return k orthonormal rows, but those that are 0."""
    rows = np.linalg.qr(rng.normal(size=(n, k)))[0].T.copy()
    rows[list(zeros)] = 0
    return rows


def unit(rows):
    sizes = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(sizes > 0, sizes, 1)


def new_rows(rng, kind, old, count):
    """Return what is added to old rows, of length 1 or 0."""
    k, n = old.shape
    rows, mixed = rng.normal(size=(count, n)), rng.normal(size=(count, k)) @ old
    small = 10.0 ** rng.uniform(-8, 0, (count, 1))
    return unit(
        {
            "any": rows,
            "near the old": unit(mixed) + small * unit(rows),
            "near each other": rows[0] + small * rows,
            "the same": np.tile(rows[0], (count, 1)),
            "among the old": mixed,
            "some none": rows * (np.arange(count) % 2)[:, None],
            "none": 0 * rows,
        }[kind]
    )


KINDS = ["any", "near the old", "near each other", "the same", "among the old", "some none", "none"]


def orthonormal(rows, closeness=1e-12):
    """Assert that rows are orthonormal, or 0, and return which are not 0."""
    real = rows.any(axis=-1)
    products = rows @ rows.T
    np.testing.assert_allclose(products, np.diag(1.0 * real), rtol=0, atol=closeness)
    return real


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zeros", [(), (0, 3), range(5)])
@pytest.mark.parametrize("seed", range(2))
def test_a_frame_of_orthonormal_rows(kind, zeros, seed):
    """Of the new rows the part is left out whose square is less than 10⁻¹⁰, of them all together."""
    rng, n, k = np.random.default_rng(seed), 30, 5
    old = rows_of(rng, n, k, zeros)
    given = np.concatenate([old, new_rows(rng, kind, old, 4)])
    vectors = given.copy()
    parts, back = renewal.frame(vectors, k)
    Q = back.T @ vectors
    real = orthonormal(Q)
    np.testing.assert_array_equal(Q[:k], old)
    left = given - parts @ Q
    dropped = np.linalg.norm(left, axis=-1)
    np.testing.assert_array_equal(left[:k], 0)
    assert (dropped <= 1e-5 * 2).all()
    if real[k:].all() or kind in ("any", "the same", "among the old", "some none", "none"):
        assert (dropped <= 1e-12).all()
    counts = {"any": 4, "the same": 1, "among the old": 0, "some none": 2, "none": 0}
    assert real[k:].sum() == counts.get(kind, real[k:].sum())
    # What is left out is what nothing in the frame can make.
    np.testing.assert_allclose(left @ Q.T, 0, rtol=0, atol=1e-12)
    squares = np.linalg.svd(given - (given @ Q[:k].T) @ Q[:k], compute_uv=False) ** 2
    apart = squares > 1e-10 * max(1, squares.max())
    assert real[k:].sum() == apart.sum()


@pytest.mark.parametrize("zeros", [(), (1,), range(6)])
def test_a_frame_without_old_rows(zeros):
    """As where a bound holds something; products of products lose half of the digits."""
    rng = np.random.default_rng(0)
    given = unit(rng.normal(size=(6, 30)))
    given[list(zeros)] = 0
    parts, back = renewal.frame(given, 0)
    Q = back.T @ given
    assert orthonormal(Q).sum() == 6 - len(zeros)
    close(parts @ Q, given)


@pytest.mark.parametrize("size", [0.99, 1.01])
def test_what_is_left_of_a_row_is_new_from_a_size_on(size):
    """That is 10⁻⁵ of the longest row, or of 1 where there are old ones, even if all are short."""

    def found(others, k):
        """How many rows of others are new beside the first k axes."""
        vectors = np.concatenate([np.eye(12)[:k], others])
        _, back = renewal.frame(vectors, k)
        return int((back.T @ vectors)[k:].any(axis=-1).sum())

    e = np.eye(12)
    small = size * 1e-5
    for k in (1, 2):
        assert found([e[0] + small * e[5]], k) == (size > 1)
    assert found([e[0] + small * e[5], e[6]], 2) == 1 + (size > 1)
    assert found([2 * e[6], 2 * small * e[5]], 2) == 1 + (size > 1)
    for scale in (2.0**-40, 1, 2.0**40):
        assert found(scale * np.array([e[6], small * e[5]]), 0) == 1 + (size > 1)


def whole(vectors, weights):
    return vectors.T * np.where(np.isfinite(weights), weights, 0) @ vectors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zeros", [(), (0, 3), range(5)])
@pytest.mark.parametrize("weights", ["mixed", "one is no number", "new ones are none", "none"])
def test_eigenvectors_are_those_of_the_whole_matrix(kind, zeros, weights):
    rng, n, k = np.random.default_rng(1), 30, 5
    old = rows_of(rng, n, k, zeros)
    given = np.concatenate([old, new_rows(rng, kind, old, 4)])
    w = rng.choice([-1, 1], k + 4) * rng.uniform(1, 9, k + 4)
    w[list(zeros)] = 0
    if weights == "one is no number":
        w[k + 1] = np.inf
    if weights == "new ones are none":
        w[k:] = 0
    if weights == "none":
        w[:] = 0
    vectors, values, parts = renewal.eigenvectors(given.copy(), w, k, None)
    M = whole(given, w)
    size = max(1, abs(w[np.isfinite(w)]).max())
    # What the frame leaves out is that much.
    near = 1e-4 if kind.startswith("near") else 1e-12
    expected = np.linalg.eigvalsh(M)
    expected = expected[np.argsort(-abs(expected))][:k]
    np.testing.assert_allclose(values, expected, rtol=0, atol=near * size)
    assert (np.diff(abs(values)) <= 0).all()
    np.testing.assert_allclose(M @ vectors.T, vectors.T * values, rtol=0, atol=near * size)
    real = orthonormal(vectors)
    np.testing.assert_array_equal(real, values != 0)
    # How they are made of old ones, and what of them is beside those.
    turn, new = parts
    np.testing.assert_allclose(turn, old @ vectors.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(new, vectors - turn.T @ old, rtol=0, atol=1e-12)
    delta = rng.uniform(0.1, 2, k + n)
    told, found = (renewal.carry_over(old, vectors, delta, p) for p in (parts, None))
    np.testing.assert_allclose(told, found, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "size"),
    [("any", 1), ("near the old", 2.0**40), ("near each other", 1), ("a quadratic", 2.0**-40)],
)
def test_directions_do_not_drift(kind, size):
    """They are orthonormal after 500 renewals, as after the first."""
    rng, n, k, pairs = np.random.default_rng(2), 40, 5, 4
    H = rng.normal(size=(n, n))
    d = some(0, n, k, pairs=pairs, learned=False)
    d = d._replace(vectors=np.zeros((k, n)))
    state = state_of(d)
    for _ in range(500):
        moves = rng.normal(size=(pairs, n))
        changes = moves @ (H + H.T) if kind == "a quadratic" else new_rows(rng, kind, d.vectors, pairs)  # fmt: skip
        d = d._replace(moves=moves, changes=changes * size)
        last, (d, _) = d, renewal.renew(d, state, np.ones(n), None, False)
        assert orthonormal(d.vectors).any()
    M = hessian(last.vectors, last.values, moves, last.changes)
    np.testing.assert_allclose(M @ d.vectors.T, d.vectors.T * d.values, rtol=0, atol=1e-4 * abs(d.values).max())  # fmt: skip


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("n", [9, 10, 40])
def test_many_runs_turn_each_by_itself(n, held):
    """To the bit, with as many vectors as variables and with fewer; `held` needs what is new whole."""
    rng, k = np.random.default_rng(3), 5
    zeros = [(), (0,), (2, 4), range(5), ()]
    old = [rows_of(rng, n, k, z) for z in zeros]
    kinds = ["any", "near the old", "the same", "none", "some none"]
    given = np.stack(
        [np.concatenate([o, new_rows(rng, kind, o, 4)]) for o, kind in zip(old, kinds, strict=True)]
    )
    weights = rng.normal(size=(5, k + 4)) * given.any(axis=-1)
    weights[0, 3:] *= 1e-14  # and say nothing
    pinned = np.arange(5 * n).reshape(5, n) % 4 == 1 if held else None
    given = np.where(pinned[:, None], 0, given) if held else given
    vectors, values, parts = renewal.eigenvectors(given.copy(), weights, k, pinned)
    assert (parts is None) == (held or n == 9)
    np.testing.assert_array_equal(vectors.any(axis=-1), values != 0)
    assert (abs(values) < np.inf).all()
    assert (values[0] != 0).tolist() == [True] * 3 + [False] * 2
    for i in range(5):
        own = None if pinned is None else pinned[i]
        one = renewal.eigenvectors(given[i].copy(), weights[i], k, own)
        np.testing.assert_array_equal(one[0], vectors[i])
        np.testing.assert_array_equal(one[1], values[i])
        for mine, of_many in zip(one[2] or (), parts or (), strict=True):
            np.testing.assert_array_equal(mine, of_many[i])


def test_renewals_with_something_held_in_between():
    """What is held leaves old directions that are not orthonormal where they are free."""
    rng, n, k = np.random.default_rng(4), 40, 5
    d = some(1, n, k, pairs=4)
    state = state_of(d)
    for i in range(100):
        pinned = rng.random(n) < 0.3 if i % 3 else None
        moves = rng.normal(size=(4, n))
        d = d._replace(moves=moves, changes=new_rows(rng, KINDS[i % 3], d.vectors, 4))
        d, _ = renewal.renew(Directions(*d), state, np.ones(n), pinned, False)
        assert orthonormal(d.vectors, 1e-7).any()
