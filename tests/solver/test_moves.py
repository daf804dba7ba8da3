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
    "shape",
    [(1,), (50,), (20_000,), (3, 700), (700, 30), (9, 4000), (2, 10_000), (3, 8192), (0, 4)],
)
def test_every_coordinate_by_itself_however_many_there_are(shape, forgets):
    before, after, slope, last_slope = states(shape, forgets)
    columns = [part.ravel().tolist() for part in (slope, last_slope, *before[:3], *after[:3])]
    expected = [secant(*column) for column in zip(*columns, strict=True)]
    given = [part.copy() for part in before[:3]]
    with np.errstate(all="ignore"):
        moves.secant(before, after, slope, last_slope, forgets)
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
        lambda forgets, *fields: [change(forgets, *fields), seen.append(fields[-1].shape)],
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
