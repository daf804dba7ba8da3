"""What is left as one direction: when it is, how far that moves, and what is kept beside it.

Against the definitions, written with one number after the other, as in `test_directions`.
"""

import math

import numpy as np
import pytest

from rprop.rule.state import RpropState
from rprop.solver import directions, moves, renewal
from rprop.solver.directions import MOST
from rprop.solver.run import Directions

from .test_directions import close, dot, hessian, some, state_of
from .twin import glide


@pytest.fixture(autouse=True)
def quietly():
    """As the engine calls them: what overflows is judged."""
    with np.errstate(all="ignore"):
        yield


def bend(d, pinned):
    """The cosine between the sizes of moves and of changes of slope, and the curvature."""
    n = len(d.vectors[0])
    product, moved, changed = 0, [0] * n, [0] * n
    for pair in zip(d.moves, d.changes, strict=True):
        left = []
        for row in pair:
            free = [0 if held else x for x, held in zip(row, pinned, strict=True)]
            parts = [dot(v, free) for v in d.vectors]
            left.append([x - dot(parts, d.vectors[:, i]) for i, x in enumerate(free)])
        product += dot(*left)
        moved = [sum_ + x * x for sum_, x in zip(moved, left[0], strict=True)]
        changed = [sum_ + x * x for sum_, x in zip(changed, left[1], strict=True)]
    sizes = [[math.sqrt(square) for square in squares] for squares in (moved, changed)]
    cosine = dot(*sizes) / math.sqrt(dot(sizes[0], sizes[0]) * dot(sizes[1], sizes[1]))
    return cosine, sum(changed) / product if product > 0 else 0


def sloped(seed, decades, n, k, sign=1, **given):
    """Return directions with moves over a quadratic whose coordinates bend more or less alike."""
    d = some(seed, n, k, **given)
    rng = np.random.default_rng(seed)
    noise = 0.1 * rng.normal(size=(n, n))
    H = np.diag(sign * 10 ** rng.uniform(0, decades, n)) + noise + noise.T
    return d._replace(changes=d.moves @ H)


def stacked(parts):
    return type(parts[0])(*map(np.stack, zip(*parts, strict=True)))


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("held", [False, True])
def test_where_what_is_left_bends_alike_and_how_much(learned, held):
    """In many runs, some with negative curvature, each by itself."""
    runs = [
        sloped(seed, decades, 12, 3, sign=sign, learned=learned)
        for seed in range(4)
        for decades in (0.2, 6)
        for sign in (1, -1)
    ]
    pinned = np.arange(12 * len(runs)).reshape(len(runs), 12) % 5 == 0 if held else None
    alike, level = renewal.bend(stacked(runs), pinned)
    for i, d in enumerate(runs):
        mine = None if pinned is None else pinned[i]
        one, own = renewal.bend(d, mine)
        assert (one, own) == (alike[i], level[i])
        cosine, expected = bend(d, np.zeros(12) if mine is None else mine)
        assert abs(cosine - 0.75) > 1e-6
        assert one == (cosine > 0.75)
        close(own, expected)
    assert 0 < alike.sum() < len(runs)
    assert 0 < (level > 0).sum() < len(runs)


@pytest.mark.parametrize(("change", "alike"), [(3, False), (3.01, True), (2.99, False)])
@pytest.mark.parametrize("unit", [2.0**-60, 1, 2.0**60])
def test_how_alike_is_enough(change, alike, unit):
    """A move along one axis changes the slope by 3 along it, of a length of 4: a cosine of 3/4."""
    d = directions.axes((MOST + 1,), np.dtype(float))
    d.moves[2, 7], d.changes[2, 7:12] = 0.5, np.array([change, 2, 1, 1, 1]) * unit
    found, level = renewal.bend(d, None)
    assert found == alike
    close(level / unit, (change**2 + 7) / (0.5 * change))
    # Sizes count, not signs, and of all moves together.
    d.moves[3, 7], d.changes[3, 7:12] = -0.5, np.array([-change, 2, 1, 1, 1]) * unit
    assert renewal.bend(d, None)[0] == alike


def test_no_change_is_not_alike():
    d = directions.axes((MOST + 1,), np.dtype(float))
    d.moves[:] = 1
    assert renewal.bend(d, None) == (False, 0)
    assert renewal.bend(d._replace(changes=d.moves), np.ones(MOST + 1, bool)) == (False, 0)


@pytest.mark.parametrize(("n", "k"), [(4, 1), (6, 3), (30, 2)])
@pytest.mark.parametrize("level", [0.5, 3.0])
def test_the_estimate_from_a_level(n, k, level):
    """Eigenvalues of 0 are none, and the rest bends like the level."""
    d = some(3, n, k, pairs=min(n + 1, 4))
    d.values[0] = 0
    d.vectors[0] = 0
    vectors, weights = renewal.estimate(d, np.float64(level))
    found = level * np.eye(n)
    for w, v in zip(weights, vectors, strict=True):
        found += w * np.outer(v, v)
    expected = hessian(d.vectors, d.values, d.moves, d.changes, level)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * abs(expected).max())
    assert weights[0] == 0


def assert_joint(d, state, slope, after, new, level):
    """Δ of the rest is along its slope, drawn from its whole length to where that would be 0."""
    k = len(d.vectors)
    parts = [dot(v, slope) for v in new.vectors]
    rest = [abs(s - dot(parts, new.vectors[:, i])) for i, s in enumerate(slope)]
    size = math.sqrt(dot(rest, rest))
    whole = math.sqrt(dot(state.delta[k:], state.delta[k:]))
    way = size / level if level else math.inf
    far = min(max(way, whole / 10), 2 * whole)
    close(after.delta[k:], [r * far / size for r in rest])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slopes", [1e-3, 1, 1e3])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_a_renewal_keeps_what_is_furthest_from_the_level(seed, slopes, held, learned):
    n, k = 12, 3
    d = sloped(seed, 0.2, n, k, learned=learned, joint=learned)
    rng = np.random.default_rng(seed)
    pinned = np.arange(n) % 5 == 1 if held else np.zeros(n, bool)
    slope, state = np.where(pinned, 0, slopes * rng.normal(size=n)), state_of(d)
    cosine, level = bend(d, pinned)
    assert cosine > 0.75
    new, after = renewal.renew(d, state, slope, pinned if held else None, True)
    assert new.joint.dtype == bool
    assert new.joint
    free = np.outer(~pinned, ~pinned)
    M = (hessian(d.vectors, d.values, d.moves, d.changes, level) - level * np.eye(n)) * free
    values, columns = np.linalg.eigh(M)
    furthest = np.argsort(-abs(values))[:k]
    close(sorted(new.values), sorted(level + values[furthest]))
    assert (new.values < level).any() or learned
    kept = columns[:, furthest]
    close(new.vectors.T @ new.vectors, kept @ kept.T)
    close(new.vectors.T * new.values @ new.vectors, kept * (level + values[furthest]) @ kept.T)
    assert_joint(d, state, slope, after, new, level)
    assert not after.prev_sign.any()
    assert not after.prev_update.any()


def test_directions_without_an_eigenvalue_are_none_at_any_level():
    d = sloped(0, 0.2, 12, 6, pairs=2, learned=False)
    new, _ = renewal.renew(d, state_of(d), np.ones(12), None, True)
    assert new.joint
    assert (new.values != 0).tolist() == [True] * 2 + [False] * 4
    assert not new.vectors[2:].any()
    # Nor do they count when they are taken in again.
    again, _ = renewal.renew(new._replace(changes=3 * new.moves), state_of(d), np.ones(12), None, True)  # fmt: skip
    assert (again.values != 0).sum() <= 4


def test_a_level_below_zero_says_only_that_it_is_far():
    d = sloped(0, 0.2, 12, 3, sign=-1, learned=False)
    state, slope = state_of(d), np.random.default_rng(0).normal(size=12)
    new, after = renewal.renew(d, state, slope, None, True)
    assert new.joint
    assert_joint(d, state, slope, after, new, 0)


def test_what_is_not_asked_to_join_stays_along_the_axes():
    d = sloped(0, 0.2, 12, 3, learned=False)
    state, slope = state_of(d), np.ones(12)
    new, after = renewal.renew(d, state, slope, None, False)
    assert not new.joint
    np.testing.assert_array_equal(after.delta[3:], state.delta[3:])
    # Nor is there a rest where the directions span everything.
    whole = sloped(0, 0.2, 12, 12, learned=False)
    for found, expected in zip(
        renewal.renew(whole, state_of(whole), slope, None, True),
        renewal.renew(whole, state_of(whole), slope, None, False),
        strict=True,
    ):
        for part, same in zip(found, expected, strict=True):
            np.testing.assert_array_equal(part, same)
    # What is one direction already neither knows nor needs a level, and is one when asked again.
    was = d._replace(joint=np.bool_(True))
    kept, then = renewal.renew(was, state, slope, None, False)
    assert kept.joint
    np.testing.assert_array_equal(kept.values, new.values)
    np.testing.assert_array_equal(then.delta, after.delta)


def test_once_one_direction_always_one():
    """Its level is that of the new moves, even if they do not bend alike."""
    d, slope = sloped(0, 6, 12, 3, joint=True), np.random.default_rng(1).normal(size=12)
    cosine, level = bend(d, np.zeros(12))
    assert cosine < 0.75
    state = state_of(d)
    new, after = renewal.renew(d, state, slope, None, True)
    assert new.joint
    assert_joint(d, state, slope, after, new, level)
    apart = renewal.renew(d._replace(joint=np.bool_(False)), state, slope, None, True)
    assert not apart[0].joint
    plain = renewal.renew(d._replace(joint=np.bool_(False)), state, slope, None, False)
    for found, expected in zip((*apart[0], *apart[1]), (*plain[0], *plain[1]), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_only_the_first_renewal_joins():
    """What was apart once stays apart, even if it bends alike now, and no level is asked for."""
    d, slope = sloped(0, 0.2, 12, 3), np.random.default_rng(1).normal(size=12)
    assert renewal.bend(d, None)[0]
    late, plain = (renewal.renew(d, state_of(d), slope, None, joins) for joins in (True, False))
    assert not late[0].joint
    for found, expected in zip((*late[0], *late[1]), (*plain[0], *plain[1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    # One direction of three is enough to have been apart; an eigenvalue may be negative.
    for values in ([0, 0, 1.0], [0, -1.0, 0]):
        some_known = d._replace(values=np.array(values))
        assert not renewal.renew(some_known, state_of(d), slope, None, True)[0].joint
    none = d._replace(values=np.zeros(3))
    joint, _ = renewal.renew(none, state_of(d), slope, None, True)
    assert joint.joint
    # Axes that stayed were no renewal.
    stays = none._replace(changes=2.0 * d.moves)
    kept, _ = renewal.renew(stays, state_of(d), slope, None, True)
    assert (kept.joint, kept.vectors is d.vectors) == (False, True)
    assert renewal.renew(kept._replace(changes=d.changes), state_of(d), slope, None, True)[0].joint


@pytest.mark.parametrize("size", [0, 1e-200, 1e200])
def test_a_slope_without_a_size_leaves_step_sizes_as_they_are(size):
    """Where the squares are 0 or no numbers; a Δ of 0 would stay 0 for ever."""
    d = sloped(0, 0.2, 12, 3, learned=False)
    state = state_of(d)
    new, after = renewal.renew(d, state, np.full(12, size), None, True)
    assert new.joint
    np.testing.assert_array_equal(after.delta[3:], state.delta[3:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_each_run_joins_by_itself(dtype):
    """Of six, one keeps to its axes though all bends alike, one does not bend alike, one is joint.

    Two have learned something: one was joint already, the other one may not be any more.
    """
    n, k = 12, 3
    decades = 0.2, 0.2, 6, 6, 0.2, 0.2
    runs = [sloped(i, d, n, k, learned=i in (3, 5)) for i, d in enumerate(decades)]
    runs[1] = runs[1]._replace(changes=2.0 * runs[1].moves)
    runs[2] = runs[2]._replace(changes=runs[2].changes[:, ::-1])
    runs[3] = runs[3]._replace(joint=np.bool_(True))
    wide = np.result_type(dtype, float)
    kinds = wide, float, bool, wide, wide, np.int32
    runs = [Directions(*map(np.asarray, d, kinds)) for d in runs]
    states = [state_of(d, i) for i, d in enumerate(runs)]
    states = [s._replace(delta=s.delta.astype(dtype), prev_update=s[2].astype(dtype)) for s in states]  # fmt: skip
    slope = np.random.default_rng(0).normal(size=(6, n)).astype(wide)
    many, after = renewal.renew(stacked(runs), stacked(states), slope, None, True)
    for i, (d, state) in enumerate(zip(runs, states, strict=True)):
        alone = renewal.renew(d, state, slope[i], None, True)
        for part, expected in zip((*many, *after), (*alone[0], *alone[1]), strict=True):
            assert part.dtype == expected.dtype
            np.testing.assert_array_equal(part[i], expected)
        assert (alone[1] is state) == (i == 1)
    assert many.joint.tolist() == [True, False, False, True, True, False]
    assert [part.dtype for part in many] == list(kinds)
    assert after.delta.dtype == dtype


# How far it moves.


def states(move, delta, update):
    signs = np.zeros(np.shape(delta), np.int8)
    before = RpropState(delta, signs, np.array(move), np.float64(1.0))
    return before, RpropState(np.array(delta), signs, np.array(update), np.float64(1.0))


def glided(move, slope, last_slope, step_sizes=(0.0, 1e100), runs=np.True_):
    """Return Δ and moves, which the rule wanted to be 7 and 8; of the first coordinate they stay."""
    before, after = states([9.0, *move], np.full(len(slope) + 1, 7.0), np.full(len(slope) + 1, 8.0))
    slopes = np.array([5.0, *slope]), np.array([6.0, *last_slope])
    moves.glide(runs, 1, before, after, *slopes, step_sizes)
    assert (after.delta[0], after.prev_update[0]) == (7, 8)
    assert before.prev_update.tolist() == [9.0, *move]
    return after.delta[1:].tolist(), after.prev_update[1:].tolist()


RULE = [7.0, 7.0], [8.0, 8.0]


def test_how_far_the_line_says():
    """A move of (-3, -4), of squares 25, along which the slope fell by 25 times the curvature."""
    # Curvature 2: as far as half the slope.
    assert glided([-3, -4], [3, -1], [9, 7]) == ([1.5, 0.5], [-1.5, 0.5])
    # It overshot, so that the slope changed sign along the move: the same.
    assert glided([-3, -4], [-2, -4], [4, 4]) == ([1, 2], [1, 2])
    # A coordinate without a slope does not move.
    assert glided([-3, -4], [0, -4], [6, 4]) == ([0, 2], [0, 2])


@pytest.mark.parametrize("last", [[6, 8], [5, 7], [6.5, 8.5]], ids=["flat", "negative", "weak"])
def test_at_most_twice_as_far_as_last_time(last):
    """A move of length 5, a slope of length 10: at most once the slope."""
    assert glided([-3, -4], [6, 8], last) == ([6, 8], [-6, -8])


def test_limits_of_step_sizes_hold_for_every_coordinate():
    assert glided([-3, -4], [6, 0], [6, 0], (0.5, 4.0)) == ([4, 0.5], [-4, 0])
    assert glided([-3, -4], [6, 8], [6, 8], (7.0, 8.0)) == ([7, 8], [-7, -8])


@pytest.mark.parametrize(
    ("move", "slope", "last_slope"),
    [
        ([0, 0], [3, 4], [6, 8]),  # no move, as after a renewal
        ([-3, -4], [0, 0], [6, 8]),  # no slope
        ([-3e-200, 0], [3, 4], [6, 8]),  # squares of 0
        ([-3, -4], [3e-200, 4e-200], [1, 1]),
        ([-3e200, 0], [3, 4], [6, 8]),  # and beyond numbers
        ([-3, -4], [3e200, 4], [6, 8]),
        ([-3, -4], [np.inf, 4], [6, 8]),
        ([-3, -4], [np.nan, 4], [6, 8]),
        ([-3e150, 0], [3e-160, 0], [3e-160, 0]),  # twice as far is too far
    ],
)
def test_what_has_no_size_moves_as_the_rule_says(move, slope, last_slope):
    assert glided(move, slope, last_slope) == RULE


def test_other_runs_move_as_the_rule_says():
    assert glided([-3, -4], [3, -1], [9, 7], runs=np.False_) == RULE


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_every_run_by_itself(dtype, n):
    """Half of them glide, as the twin does it, and the moves of a number of each are those of the rule."""
    rng, k, low, high = np.random.default_rng(n), 3, 0.25, 2.0
    sizes = rng.choice([0.0, 0.5, 2.0, 1e-30, 1e18], (60, 1))
    move = (sizes * rng.normal(size=(60, k + n))).astype(dtype)
    slope, last_slope = (rng.choice([0.0, 1, 1, 1e-170, 1e170], (60, 1)) * rng.normal(size=(60, k + n)) for _ in range(2))  # fmt: skip
    before, after = states(move, np.full((60, k + n), 3, dtype), np.full((60, k + n), 4, dtype))
    runs = np.arange(60) % 2 == 0
    moves.glide(runs, k, before, after, slope, last_slope, (low, high))
    glide_too = 0
    for i in range(60):
        expected = [np.full(k + n, 3.0), None, np.full(k + n, 4.0)]
        if runs[i]:
            wide = move[i, k:].astype(float)
            glide(slope[i, k:], last_slope[i, k:], wide, expected, (low, high))
        glide_too += expected[0][-1] != 3
        np.testing.assert_array_equal(after.delta[i], expected[0].astype(dtype))
        np.testing.assert_array_equal(after.prev_update[i], expected[2].astype(dtype))
        alone = states(move[i], np.full(k + n, 3, dtype), np.full(k + n, 4, dtype))
        moves.glide(runs[i], k, *alone, slope[i], last_slope[i], (low, high))
        np.testing.assert_array_equal(alone[1].delta, after.delta[i])
        np.testing.assert_array_equal(alone[1].prev_update, after.prev_update[i])
    assert glide_too > 5
    assert {after.delta.dtype, after.prev_update.dtype} == {np.dtype(dtype)}


def test_single_precision_has_room_for_squares():
    """Of 2⁻¹⁰⁰ and of 2¹⁰⁰, whose squares single precision has not."""
    for unit in (2.0**-100, 2.0**100):
        move = np.array([-3, -4], np.float32) * np.float32(unit)
        before, after = states(move, np.ones(2, np.float32), np.ones(2, np.float32))
        slope = np.array([3.0, -1.0]) * unit
        moves.glide(np.True_, 0, before, after, slope, np.array([9.0, 7.0]) * unit, (0.0, 1e38))
        assert after.delta.tolist() == [1.5 * unit, 0.5 * unit]
