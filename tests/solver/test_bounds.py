"""The box against its definition, one number after the other."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given as each
from hypothesis import strategies as st
from scipy.optimize import Bounds

from rprop.solver import bounds

INF = np.inf
EDGES = [-INF, INF, 0.0, -0.0, 0.1, -0.1, 1e-50, -1e-50, 1e300, -1e300, 1.7e308, 3.5e38, 16777217.0]
numbers = st.one_of(st.sampled_from(EDGES), st.floats(allow_nan=False))


def inward(side, dtype, lower):
    """The number of the dtype nearest to a side that is not outside."""
    number = np.asarray(side).astype(dtype)
    outside = np.float64(number) < side if lower else np.float64(number) > side
    if np.isinf(side) or not outside:
        return number
    return np.nextafter(number, dtype(INF if lower else -INF))


@each(numbers, numbers, st.sampled_from([np.float32, np.float64, np.longdouble]))
def test_a_side_is_rounded_inwards(a, b, dtype):
    low, high = min(a, b), max(a, b)
    with np.errstate(all="ignore"):
        sides = inward(low, dtype, True), inward(high, dtype, False)
    room = sides[0] <= sides[1] and sides[0] < INF and sides[1] > -INF
    for given in ([(low, high)], Bounds(low, high), Bounds([low], [high])):
        if not room:
            with pytest.raises(ValueError, match="bounds must leave room for a finite number of"):
                bounds.as_box(given, np.zeros(1, dtype))
            continue
        found = bounds.as_box(given, np.zeros(1, dtype))
        assert [(side.shape, side.dtype) for side in found] == 2 * [((1,), np.dtype(dtype))]
        np.testing.assert_array_equal(found, [[sides[0]], [sides[1]]])
        for side, number, turn in zip((low, high), found, (1, -1), strict=True):
            if np.isfinite(number) and np.isfinite(side):
                assert turn * (Fraction(float(number[0])) - Fraction(side)) >= 0


def test_which_problem_leaves_no_room():
    message = r"finite number of dtype float32; got \(1e\+300, 2e\+300\)"
    with pytest.raises(ValueError, match=message):
        bounds.as_box([(0, 1), (1e300, 2e300)], np.zeros(2, np.float32))


def test_none_and_sides_for_all():
    x = np.zeros((3, 2))
    low, high = bounds.as_box(None, x)
    assert (low == -INF).all()
    assert (high == INF).all()
    low, high = bounds.as_box([(None, 1), (-2, None)], x)
    assert (low == [-INF, -2]).all()
    assert (high == [1, INF]).all()
    assert low.shape == high.shape == (3, 2)
    low, high = bounds.as_box(Bounds(-1.0, np.arange(3.0)[:, None]), x)
    assert (low == -1).all()
    assert high.tolist() == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([(0, 1)], ValueError, "bounds must be 2 pairs .* got 1"),
        ([(0, 1, 2), (0, 1)], ValueError, "bounds must be pairs"),
        (Bounds([0.0] * 3, [1.0] * 3), ValueError, "not compatible with the length of `x0`"),
        ([(0, np.nan), (0, 1)], ValueError, "bounds must not be NaN"),
        ([(np.nan, 1), (0, 1)], ValueError, "bounds must not be NaN"),
        ([(0, 1), (1, 0.5)], ValueError, "An upper bound is less than the corresponding lower"),
        ([("a", 1), (0, 1)], TypeError, "bounds must hold numbers or None"),
    ],
)
def test_bad_bounds(given, error, message):
    with pytest.raises(error, match=message):
        bounds.as_box(given, np.zeros(2))


def test_equal_bounds_are_a_box():
    low, high = bounds.as_box([(1.0, 1.0)], np.zeros(1))
    assert (low, high) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "limits"),
    [(-INF, INF, False), (0.0, INF, True), (-INF, 0.0, True), (0.0, 1.0, True)],
)
def test_what_limits(low, high, limits):
    sides = np.array([-INF, low]), np.array([INF, high])
    assert bounds.limit_anything(*sides) is limits


@pytest.mark.parametrize("bounded", [True, False])
def test_the_slope_leaves_out_what_pushes_against_a_bound(bounded):
    cases = [
        (x, low, high, g)
        for low, high in [(-1.0, 2.0), (-INF, 2.0), (-1.0, INF), (-INF, INF), (1.0, 1.0)]
        for x in (low, high, 1.5)
        for g in (-2.0, -1e-9, -0.0, 0.0, 1e-9, 3.0, np.nan)
        if np.isfinite(x)
    ]
    x, low, high, g = map(np.array, zip(*cases, strict=True))
    expected = [
        0 if bounded and ((at <= lo and s > 0) or (at >= hi and s < 0)) else s
        for at, lo, hi, s in cases
    ]
    point = SimpleNamespace(x=x, jac=g)
    found = bounds.slope_at(point, low, high, SimpleNamespace(bounded=bounded))
    np.testing.assert_array_equal(found, expected)
