"""Secant moves against the twin's, one coordinate after the other, to the bit."""

import numpy as np
import pytest

from rprop.rule.state import RpropState
from rprop.solver import moves

from .twin import secant

SLOPES = np.array([0.0, 0.25, 0.5, 1.0, 1.01, 2.0, 3.0, 1e-300, 1.5e308, np.inf])
SLOPES = np.r_[SLOPES, -SLOPES, np.nan]
KEPT = np.array([0, 1], np.int8)


def states(shape, forgets, dtype=float):
    """Return any states before and after the rule's step, and any slopes there and before."""
    rng = np.random.default_rng(0)
    sizes = rng.choice([0.25, 0.5, 1.0, 3.0], shape)
    slope, last_slope = rng.choice(SLOPES, shape), rng.choice(SLOPES, shape)
    then, now = (np.nan_to_num(np.sign(s)).astype(np.int8) for s in (last_slope, slope))
    signs = then * rng.choice(KEPT, shape)  # or it was forgotten
    update = rng.choice([-1.5, 0, 0.75, 2.0], shape)
    kept = np.where(forgets & (now * signs < 0), np.int8(0), now)
    step = -now * sizes
    before = RpropState(sizes.astype(dtype), signs, update.astype(dtype), np.float64(1.0))
    after = RpropState((1.2 * sizes).astype(dtype), kept, step.astype(dtype), np.float64(1.0))
    return before, after, slope, last_slope


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize(
    ("shape", "known"),
    [((1,), None), ((50,), None), ((50,), 20), ((20_000,), None), ((20_000,), 30), ((3, 700), 5),
     ((700, 30), None), ((700, 30), 10), ((9, 4000), 30), ((2, 10_000), None), ((3, 8192), 0),
     ((0, 4), None), ((0, 4), 1)],
)  # fmt: skip
def test_every_coordinate_by_itself_however_many_there_are(shape, known, forgets):
    """Those from `known` on grow faster where no zero lies ahead."""
    before, after, slope, last_slope = states(shape, forgets)
    rest = np.zeros(shape, bool)
    if known is not None:
        rest[..., known:] = True
    fields = slope, last_slope, *before[:3], *after[:3], rest
    expected = [
        secant(*column) for column in zip(*(f.ravel().tolist() for f in fields), strict=True)
    ]
    given = [part.copy() for part in before[:3]]
    with np.errstate(all="ignore"):
        moves.secant(before, after, slope, last_slope, forgets, known)
    for found, column in zip(after[:3], np.reshape(expected, (-1, 3)).T, strict=True):
        np.testing.assert_array_equal(found.ravel(), column)
    for now, then in zip(before[:3], given, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_temporaries_are_no_larger_than_a_block(count, monkeypatch):
    """As many whole rows at a time as fit, one if none does."""
    seen, change = [], moves.change_moves
    monkeypatch.setattr(
        moves,
        "change_moves",
        lambda *given: [change(*given), seen.append(given[-1].shape)],
    )
    n = moves.BLOCK // count
    for shape, shapes in [
        ((count, n), [(count, n)]),
        ((7, n), [(count, n)] * (7 // count) + [(7 % count, n)] * (7 % count > 0)),
        ((3, 2 * moves.BLOCK), [(1, 2 * moves.BLOCK)] * 3),
        ((moves.BLOCK,), [(moves.BLOCK,)]),
        ((2 * moves.BLOCK + 1,), [(moves.BLOCK,)] * 2 + [(1,)]),
    ]:
        seen.clear()
        before, after, slope, last_slope = states(shape, forgets=False)
        with np.errstate(all="ignore"):
            moves.secant(before, after, slope, last_slope, False)
        assert seen == shapes


def test_single_precision_stays():
    """Slopes are float64 where the state is float32, and the parts of a move are rounded to it."""
    sizes, signs = np.full(3, 1, np.float32), np.array([1, 1, -1], np.int8)
    update = np.array([-1, -1, 1], np.float32)
    before = RpropState(sizes, signs, update, np.float64(1.0))
    after = RpropState(sizes / 2, 0 * signs, 0 * update, np.float64(1.0))
    moves.secant(before, after, np.array([-1e-3, -9.0, 1.0]), np.array([1.0, 1e-3, -2.0]), True)
    assert after.prev_update.dtype == np.float32
    parts = np.array([0.05, 0.95, 1 / 3], np.float32)
    np.testing.assert_array_equal(after.prev_update, -update * parts)


def test_growth_without_a_zero_ahead_keeps_single_precision():
    """From Δ = 1 the rule grew to 1.2, and 1.6 is further; from 1 to 2 it was further already."""
    sizes, signs = np.ones(2, np.float32), np.ones(2, np.int8)
    before = RpropState(sizes, signs, -sizes, np.float64(1.0))
    grown = np.array([1.2, 2], np.float32)
    after = RpropState(grown.copy(), signs, -grown, np.float64(1.0))
    moves.secant(before, after, np.array([3.0, 3.0]), np.array([2.0, 2.0]), True, 0)
    np.testing.assert_array_equal(after.delta, np.array([1.6, 2], np.float32))
    np.testing.assert_array_equal(after.prev_update, -after.delta)
    assert after.delta.dtype == after.prev_update.dtype == np.float32


@pytest.mark.parametrize("joint", [[1, 1, 1], [0, 0, 0], [1, 0, 1]])
def test_what_is_left_of_joint_runs_is_left_to_glide(joint):
    joint = np.array(joint, bool)
    before, after, slope, last_slope = states((3, 40), False)
    same, plain, _, _ = states((3, 40), False)
    by_rule = [part.copy() for part in after[:3]]
    with np.errstate(all="ignore"):
        moves.secant(before, after, slope, last_slope, False, 5, joint)
        moves.secant(same, plain, slope, last_slope, False, 5)
    for found, unchanged, changed in zip(after[:3], by_rule, plain[:3], strict=True):
        expected = np.where(joint[:, None] & (np.arange(40) >= 5), unchanged, changed)
        np.testing.assert_array_equal(found, expected)
        assert (unchanged[:, 5:] != changed[:, 5:]).any(axis=-1).all()
