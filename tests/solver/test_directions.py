"""Learned directions against their definitions, written with one number after the other.

Sums are taken in another order here, so that numbers agree to rounding only: 1e-11 of the largest, or
of 1. Where numbers are small multiples of powers of two, nothing is rounded and they are equal.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from rprop.rule.state import RpropState
from rprop.solver import directions, renewal
from rprop.solver.directions import MOST, PERIOD
from rprop.solver.run import Directions


@pytest.fixture(autouse=True)
def quietly():
    """As the engine calls them: what overflows is judged."""
    with np.errstate(all="ignore"):
        yield


def close(found, expected):
    size = np.max(np.abs(expected), initial=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * size)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def along(vectors, x):
    """The slopes along the directions, and what is left along the axes, if they are fewer."""
    z = [dot(v, x) for v in vectors]
    if len(vectors) == len(x):
        return z
    return z + [x[i] - sum(z[j] * v[i] for j, v in enumerate(vectors)) for i in range(len(x))]


def away(vectors, u):
    """The move; steps along the axes without what is along the directions."""
    k, n = len(vectors), len(vectors[0])
    move = list(u[k:]) if k < n else [0.0] * n
    parts = [u[j] - (dot(v, u[k:]) if k < n else 0) for j, v in enumerate(vectors)]
    return [move[i] + sum(parts[j] * v[i] for j, v in enumerate(vectors)) for i in range(n)]


def hessian(vectors, values, moves, changes, level=0):
    """γ I + Σ (λ - γ) v vᵀ, then the formula of rank one for every move in turn, where it is stable."""
    n = len(vectors[0])
    M = level * np.eye(n)
    for value, v in zip(values, vectors, strict=True):
        M += (value - level if value else 0) * np.outer(v, v)
    for s, y in zip(moves, changes, strict=True):
        r = y - M @ s
        if abs(dot(r, s)) > 1e-8 * np.linalg.norm(r) * np.linalg.norm(s):
            M = M + np.outer(r, r) / dot(r, s)
    return M


def some(seed, n, k, pairs=5, learned=True, joint=False):
    """Return directions that were learned, with new moves over a quadratic."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0][:k].copy()
    H = rng.normal(size=(n, n))
    moves = rng.normal(size=(pairs, n))
    values = rng.choice([-1, 1], k) * np.arange(1.0, k + 1) * learned
    changes = moves @ (H + H.T)
    return Directions(vectors, values, np.bool_(joint), moves, changes, np.int32(pairs))


def state_of(d, seed=0):
    k, n = d.vectors.shape
    size = n if k == n else k + n
    rng = np.random.default_rng(seed)
    signs = rng.choice(np.array([-1, 1], np.int8), size)
    return RpropState(rng.uniform(0.1, 2, size), signs, rng.normal(size=size), np.float64(3.0))


def renewed(d, state):
    return renewal.renew(d, state, np.ones(d.vectors.shape[-1]), None, False)


def assert_drawn(d, state, slope, new, after):
    """Δ is carried over, as squares, and drawn to where the slope would be 0, if it would."""
    k, n = d.vectors.shape
    for i, v in enumerate(new.vectors):
        square = sum(dot(o, v) ** 2 * state.delta[j] ** 2 for j, o in enumerate(d.vectors))
        if k < n:
            rest = v - sum(dot(o, v) * o for o in d.vectors)
            square += sum((r * x) ** 2 for r, x in zip(rest, state.delta[k:], strict=True))
        expected = square**0.5
        if new.values[i] > 0:
            way = abs(dot(v, slope)) / new.values[i]
            expected = min(max(way, expected / 10), 2 * expected)
        close(after.delta[i], expected)
    np.testing.assert_array_equal(after.delta[k:], state.delta[k:])


SHAPES = [(1, 1), (2, 2), (4, 4), (4, 1), (6, 3), (30, 2)]


@pytest.mark.parametrize(
    ("n", "k"),
    [(1, 1), (5, 5), (50, 50), (51, 50), (4000, 50), (4001, 49), (33_333, 6), (33_334, 5), (50_000, 5)],
)  # fmt: skip
def test_how_many_directions_and_moves(n, k):
    d = directions.axes((n,), np.dtype(float))
    assert [part.shape for part in d] == [(k, n), (k,), (), (6, n), (6, n), ()]


def test_it_begins_with_the_axes():
    few = directions.axes((2, 3), np.dtype(np.float32))
    kinds = [np.float64, np.float64, bool, np.float64, np.float64, np.int32]
    assert [part.dtype for part in few] == kinds
    assert [part.shape for part in few] == [(2, 3, 3), (2, 3), (2,), (2, 6, 3), (2, 6, 3), (2,)]
    assert (few.vectors == np.eye(3)).all()
    assert not any(part.any() for part in few[1:])
    assert not np.shares_memory(few.moves, few.changes)
    many = directions.axes((MOST + 1,), np.dtype(float))
    assert (many.vectors.any(), many.joint, many.collected) == (False, False, 0)
    assert directions.axes((2,), np.dtype(np.longdouble)).vectors.dtype == np.longdouble


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_coordinates(n, k):
    d = some(0, n, k)
    x = np.random.default_rng(1).normal(size=n)
    z = directions.enter(d, x)
    close(z, along(d.vectors, x))
    close(directions.leave(d, z), x)
    u = np.random.default_rng(2).normal(size=len(z))
    close(directions.leave(d, u), away(d.vectors, u))
    if k < n:  # a step along the axes is none along a direction
        rest = directions.leave(d, np.r_[np.zeros(k), u[k:]])
        assert np.abs(d.vectors @ rest).max() < 1e-11


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_step_sizes(n, k):
    d = some(0, n, k)
    delta = np.random.default_rng(1).uniform(0.1, 3, n)
    own = [sum((v[i] * delta[i]) ** 2 for i in range(n)) ** 0.5 for v in d.vectors]
    carried = directions.carry(d, delta)
    close(carried, own if k == n else [*own, *delta])
    squares = [sum((v[i] * own[j]) ** 2 for j, v in enumerate(d.vectors)) for i in range(n)]
    if k < n:
        squares = [square + delta[i] ** 2 for i, square in enumerate(squares)]
    close(directions.lengths(d, carried), np.sqrt(squares))
    assert directions.carry(d, delta.astype(np.float32)).dtype == np.float32


def test_what_is_collected():
    d = directions.axes((2,), np.dtype(float))
    for i in range(PERIOD):
        assert not directions.is_due(d)
        same = directions.learn(d, np.ones(2), np.ones(2), np.bool_(False))
        assert same is d
        d = directions.learn(d, np.full(2, i + 1.0), np.full(2, -i - 1.0), np.bool_(True))
        assert (d.collected, d.collected.dtype) == (i + 1, np.int32)
    assert directions.is_due(d)
    assert d.moves.tolist() == [[i, i] for i in (1, 2, 3, 4, 5, 6)]
    assert d.changes.tolist() == [[-i, -i] for i in (1, 2, 3, 4, 5, 6)]


def test_what_is_collected_of_many_runs():
    d = directions.axes((3, 2), np.dtype(float))
    for says in ([True, False, False], [True, True, False]):
        move = np.arange(6.0).reshape(3, 2) + 1
        d = directions.learn(d, move, 2 * move, np.array(says))
    assert d.collected.tolist() == [2, 1, 0]
    assert d.moves[:, :2].tolist() == [[[1, 2], [1, 2]], [[3, 4], [0, 0]], [[0, 0], [0, 0]]]
    assert (d.changes == 2 * d.moves).all()
    assert directions.is_due(d._replace(collected=np.array([5, 6, 7]))).tolist() == [
        *(False, True, True)
    ]


@pytest.mark.parametrize(("n", "k"), SHAPES)
@pytest.mark.parametrize("kind", ["learned", "from nothing", "one move twice", "none", "crosswise"])
def test_the_estimate_is_the_formula_of_rank_one(n, k, kind):
    d = some(3, n, k, pairs=min(n + 1, 4), learned=kind == "learned")
    if kind == "one move twice":
        d.moves[1:], d.changes[1:] = d.moves[0], d.changes[0]
    if kind == "none":
        d.moves[1:], d.changes[1:] = 0, 0
    if kind == "crosswise":  # a change at right angles to the move: the formula divides by 0
        d = d._replace(values=0 * d.values)
        d.moves[:], d.changes[:] = np.eye(n)[0], np.eye(n)[n - 1] * (n > 1)
    vectors, weights = renewal.estimate(d, np.float64(0))
    expected = hessian(d.vectors, d.values, d.moves, d.changes)
    found = sum(w * np.outer(v, v) for w, v in zip(weights, vectors, strict=True))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * (1e-9 + abs(expected).max()))
    lengths = np.linalg.norm(vectors, axis=1)
    assert (np.isclose(lengths, 1) | (lengths == 0)).all()


@pytest.mark.parametrize("cosine", [1e-9, -1e-9, 0.99e-8, 1.01e-8, 1e-7, -1e-7])
def test_a_change_almost_at_right_angles_to_its_move_says_nothing(cosine):
    d = directions.axes((2,), np.dtype(float))
    for scale, size in ((2.0**-20, 3), (1, 2.0**20), (2.0**20, 2.0**-20)):
        one = d._replace(moves=d.moves.copy(), changes=d.changes.copy(), collected=np.int32(1))
        one.moves[0], one.changes[0] = [scale, 0], [cosine * size, size]
        weights = renewal.estimate(one, np.float64(0))[1]
        assert (weights != 0).any() == (abs(cosine) > 1e-8)


@pytest.mark.parametrize(("n", "k"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_a_renewal_turns_to_the_largest_eigenvectors(n, k, seed):
    d = some(seed, n, k, pairs=3)
    state = state_of(d)
    state.prev_update[0] = 0
    M = hessian(d.vectors, d.values, d.moves, d.changes)
    slope = np.random.default_rng(seed).normal(size=n) * 100.0 ** (seed - 1)
    new, after = renewal.renew(d, state, slope, None, False)
    values, columns = np.linalg.eigh(M)
    largest = np.argsort(-abs(values))[:k]
    close(sorted(new.values), sorted(values[largest]))
    close(new.vectors.T * new.values @ new.vectors, columns[:, largest] * values[largest] @ columns[:, largest].T)  # fmt: skip
    close(new.vectors @ new.vectors.T, np.eye(k))
    assert_drawn(d, state, slope, new, after)
    assert not after.prev_sign.any()
    assert after.prev_sign.dtype == np.int8
    assert not after.prev_update.any()
    assert after.prev_loss == 3.0
    assert (new.collected, new.collected.dtype) == (0, np.int32)
    assert d.collected == 3


@pytest.mark.parametrize(("n", "k"), [(4, 4), (8, 3), (30, 2)])
def test_coordinates_that_a_bound_holds_keep_to_themselves(n, k):
    d, slope = some(5, n, k, pairs=3), np.ones(n)
    state = state_of(d)
    pinned = np.arange(n) % 3 == 1
    new, after = renewal.renew(d, state, slope, pinned, False)
    assert_drawn(d, state, slope, new, after)
    M = hessian(d.vectors, d.values, d.moves, d.changes) * np.outer(~pinned, ~pinned)
    expected = np.linalg.eigvalsh(M)
    close(sorted(abs(new.values))[::-1], sorted(abs(expected))[::-1][:k])
    for v, value in zip(new.vectors, new.values, strict=True):
        close(M @ v, value * v)
        assert np.isclose(abs(v[pinned]).max(initial=0), 1) or abs(v[pinned]).max() < 1e-11
        assert value == 0 or abs(v[pinned]).max() < 1e-11


def test_matrices_of_which_some_are_beyond_the_fast_way(monkeypatch):
    fast = np.linalg.eigh

    def fails(matrices):  # as it does for some, for no reason that can be seen
        if (matrices[..., 0, 0] > 1).any():
            raise np.linalg.LinAlgError
        return fast(matrices)

    monkeypatch.setattr(np.linalg, "eigh", fails)
    some_matrices = np.random.default_rng(0).uniform(-1, 1, (3, 5, 5))
    some_matrices += some_matrices.swapaxes(-1, -2)
    some_matrices[:, 0, 0] = 0.5, 1.5, 0.25
    values, vectors = renewal.diagonalise(some_matrices)
    for i, matrix in enumerate(some_matrices):
        close(vectors[i] * values[i] @ vectors[i].T, matrix)
        close(vectors[i] @ vectors[i].T, np.eye(5))
        assert (np.diff(values[i]) > 0).all()
        for part, alone in zip((values, vectors), renewal.diagonalise(matrix), strict=True):
            np.testing.assert_array_equal(part[i], alone)


def test_axes_that_do_not_interact_stay():
    d = directions.axes((2,), np.dtype(float))
    d.moves[:], d.changes[:] = 0.5, [1.0, 3.0]
    d = d._replace(collected=np.int32(PERIOD))
    state = state_of(d)
    kept, after = renewed(d, state)
    assert kept.vectors is d.vectors
    assert after is state
    assert (kept.collected, kept.collected.dtype) == (0, np.int32)
    # Against its own move is what counts: 1 of 1000 is still alike, 2 are not.
    for against, stays in ((1.998, True), (2, True), (2.02, False)):
        changes = np.tile([2000 - against, -against], (PERIOD, 1))
        some_turn = renewed(d._replace(changes=changes), state)[0]
        assert (some_turn.vectors is d.vectors) == stays
    # The mean over the moves, each by its share.
    d.changes[0] = [4.0, -4.0]
    assert renewed(d, state)[0].vectors is not d.vectors
    # What was learned once is never left to the axes again.
    learned = d._replace(values=np.array([1.0, 0.0]), changes=np.tile([1.0, 3.0], (PERIOD, 1)))
    assert renewed(learned, state)[1] is not state


@pytest.mark.parametrize("sign", [-1, 1])
def test_numbers_too_large_for_an_estimate_say_nothing(sign):
    d = some(0, 2, 2, pairs=2, learned=False)
    d.moves[0], d.changes[0] = [1e-160, 0], [sign * 1e150, 0]
    d.moves[1], d.changes[1] = [1, 0], [0, 0]
    state = state_of(d)
    new, after = renewed(d, state)
    assert not new.values.any()
    close(new.vectors @ new.vectors.T, np.eye(2))
    assert_drawn(d, state, np.ones(2), new, after)


def test_slopes_too_large_for_a_sum_draw_no_step_size_further_than_others():
    d = some(0, 4, 4, pairs=3)
    state = state_of(d)
    with np.errstate(all="ignore"):
        _, after = renewal.renew(d, state, np.array([1.7, -1.7, 1.7, -1.7]) * 1e308, None, False)
    usual = renewal.renew(d, state, np.full(4, 1e300), None, False)[1].delta
    assert ((after.delta <= usual) & (after.delta > 0)).all()


@pytest.mark.parametrize("n", [MOST + 3, MOST + PERIOD + 1, 80])
def test_nothing_learned_is_no_direction(n):
    d = directions.axes((n,), np.dtype(float))
    d = d._replace(moves=np.eye(n)[:PERIOD], changes=np.eye(n)[1 : PERIOD + 1])
    d = d._replace(changes=d.changes - d.moves * 1e-9)
    new, _ = renewed(d, state_of(d))
    assert not new.values.any()
    assert not new.vectors.any()


@pytest.mark.parametrize("n", [MOST + 3, MOST + PERIOD + 1, 80])
@pytest.mark.parametrize("unit", [2.0**-60, 1, -1, 2.0**60])
def test_directions_without_an_eigenvalue_are_none(n, unit):
    """Where there are fewer moves than directions, what is left are zeros, not noise, in any unit."""
    d = directions.axes((n,), np.dtype(float))
    rng = np.random.default_rng(0)
    d = d._replace(moves=rng.normal(size=(PERIOD, n)))
    d = d._replace(changes=d.moves @ np.diag(np.arange(1.0, n + 1)) @ np.tri(n) * unit)
    new, _ = renewed(d, state_of(d))
    real = new.values != 0
    assert real.sum() == PERIOD
    assert (real[:PERIOD]).all()
    close(new.vectors[real] @ new.vectors[real].T, np.eye(PERIOD))
    assert not new.vectors[~real].any()
    assert new.vectors.shape == (MOST, n)


@pytest.mark.parametrize(("n", "k"), [(3, 3), (8, 3)])
@pytest.mark.parametrize("held", [False, True])
def test_each_run_by_itself(n, k, held):
    """Of four, one stays with the axes; all are to the bit what they are alone.

    Of the others, one has learned nothing yet, and one sees nothing interact now.
    """
    runs = [some(seed, n, k, pairs=4, learned=seed not in (1, 2)) for seed in range(4)]
    alone = np.eye(n)[:k]
    runs[1] = runs[1]._replace(vectors=alone, changes=2.0 * runs[1].moves)
    runs[3] = runs[3]._replace(changes=2.0 * runs[3].moves)
    states = [state_of(d, seed) for seed, d in enumerate(runs)]
    batch = Directions(*map(np.stack, zip(*runs, strict=True)))
    state = RpropState(*map(np.stack, zip(*states, strict=True)))
    pinned = np.arange(4 * n).reshape(4, n) % 5 == 0 if held else None
    slope = np.random.default_rng(9).normal(size=(4, n))
    many, after = renewal.renew(batch, state, slope, pinned, False)
    for i, (d, s) in enumerate(zip(runs, states, strict=True)):
        one, own = renewal.renew(d, s, slope[i], None if pinned is None else pinned[i], False)
        for part, expected in zip((*many, *after), (*one, *own), strict=True):
            np.testing.assert_array_equal(part[i], expected)
        assert (own is s) == (i == 1)


def test_a_run_may_take_directions_and_leave_them():
    state = RpropState(np.array([2.0, 3.0]), np.array([1, -1], np.int8), np.array([0.5, 1.0]), 4.0)
    run = SimpleNamespace(
        directions=None, state=state, slope=np.array([1.0, 2.0]), here=SimpleNamespace(x=np.ones(2))
    )
    directions.adopt(run, learned=False)
    assert run.state is state
    assert directions.slopes_along(run) is run.slope
    directions.adopt(run, learned=True)
    for mine, theirs in zip(run.state, state, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    before = run.state
    directions.adopt(run, learned=True)
    assert run.state is before
    run.directions = run.directions._replace(vectors=np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert directions.slopes_along(run).tolist() == [2, 1]
    directions.adopt(run, learned=False)
    assert run.directions is None
    assert run.state.delta.tolist() == [3, 2]
    assert not run.state.prev_sign.any()
    assert not run.state.prev_update.any()
    assert run.state.prev_loss == 4
    run.state = RpropState(*(np.asarray(part, np.float32) for part in state[:3]), np.float64(4.0))
    for learned in (True, False):
        directions.adopt(run, learned=learned)
        assert {run.state.delta.dtype, run.state.prev_update.dtype} == {np.dtype(np.float32)}
