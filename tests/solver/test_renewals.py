"""Learned directions of many runs, of many variables and of other dtypes."""

from types import SimpleNamespace

import numpy as np
import pytest

from rprop.rule.state import RpropState
from rprop.solver import directions, renewal
from rprop.solver.run import Directions

from .test_directions import close, renewed, some, state_of


def changed_against(moves, where, against):
    """Return slopes that change by 1 with their moves of 1, and somewhere against them."""
    changes = moves.copy()
    changes[..., where] = -against
    return changes


def own(moves, changes):
    return renewal.on_their_own(Directions(None, None, None, moves, changes, None)).tolist()


@pytest.mark.parametrize("where", [0, 1, 2047, 2048, 4095, 4096, 4999])
@pytest.mark.parametrize("unit", [2.0**-30, 1])
def test_all_coordinates_are_asked_whether_they_interact(where, unit):
    """5 of 5004 is less than a thousandth, 6 of 5005 is more."""
    moves = np.ones((2, 5000))
    few, many = (changed_against(moves, where, against) * unit for against in (5, 6))
    assert (own(moves, few), own(moves, many)) == (True, False)
    assert own(np.stack([moves] * 3), np.stack([few, many, few])) == [True, False, True]


def test_a_move_without_a_change_of_slope_says_that_nothing_interacts():
    """The mean is over both moves: of 4 of 2004 and 0 it is less than a thousandth, of 6 of 2006 more."""
    moves = np.ones((2, 2001))
    for against, alone in ((4, True), (6, False)):
        changes = changed_against(moves, 7, against)
        changes[1] = 0
        assert own(moves, changes) == alone
    assert own(moves, 0 * moves)


@pytest.mark.parametrize(("n", "k"), [(3, 3), (6, 2)])
def test_coordinates_of_each_run_by_itself(n, k):
    runs = [some(seed, n, k) for seed in range(3)]
    batch = Directions(*map(np.stack, zip(*runs, strict=True)))
    x = np.random.default_rng(0).normal(size=(3, n))
    z = directions.enter(batch, x)
    delta = directions.carry(batch, abs(x))
    for found, of_one, given in (
        (z, directions.enter, x),
        (directions.leave(batch, z), directions.leave, z),
        (delta, directions.carry, abs(x)),
        (directions.lengths(batch, delta), directions.lengths, delta),
    ):
        for row, d, values in zip(found, runs, given, strict=True):
            np.testing.assert_array_equal(row, of_one(d, values))


@pytest.mark.parametrize("n", [4, 53, 80])
@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_dtypes_stay(n, dtype):
    """The state has that of x, the directions one that is as wide as float64."""
    wide, rng = np.result_type(dtype, np.float64), np.random.default_rng(0)
    d = directions.axes((n,), np.dtype(dtype))
    d.moves[:] = rng.normal(size=d.moves.shape)
    d.changes[:] = d.moves[..., ::-1]
    delta = directions.carry(d, np.ones(n, dtype))
    state = RpropState(delta, np.zeros(len(delta), np.int8), 0 * delta, np.float64(1.0))
    new, after = renewed(d, state)
    assert new.values.any()
    assert new.vectors.dtype == wide
    assert new.vectors.flags.c_contiguous
    assert [part.dtype for part in after[:3]] == [dtype, np.int8, dtype]
    run = SimpleNamespace(directions=new, slope=np.ones(n, np.float32))
    assert directions.slopes_along(run).dtype == np.float32


@pytest.mark.parametrize(("n", "k"), [(4, 4), (6, 3)])
@pytest.mark.parametrize("unit", [2.0**-600, 2.0**600])
def test_step_sizes_whose_squares_are_no_numbers(n, k, unit):
    d, delta = some(0, n, k), np.random.default_rng(0).uniform(0.5, 2, n)
    carried = directions.carry(d, delta)
    np.testing.assert_array_equal(directions.carry(d, unit * delta), unit * carried)
    found = directions.lengths(d, unit * carried)
    np.testing.assert_array_equal(found, unit * directions.lengths(d, carried))


def test_step_sizes_of_all_magnitudes_together():
    """The long one is what counts."""
    d, delta = some(0, 4, 4), np.array([1e-200, 1e200, 1e-200, 1.0])
    close(directions.carry(d, delta) / 1e200, abs(d.vectors[:, 1]))
    close(directions.lengths(d, delta) / 1e200, abs(d.vectors[1]))


def test_single_precision_is_squared_in_double():
    for n, k in ((4, 4), (6, 3)):
        d = some(0, n, k)
        delta = np.random.default_rng(0).uniform(0.5, 2, n if n == k else n + k).astype(np.float32)
        wide = directions.lengths(d, delta.astype(float))
        np.testing.assert_array_equal(directions.lengths(d, delta), wide)


@pytest.mark.parametrize("unit", [2.0**-50, 1, 2.0**50])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("small", "drawn"), [(2.0**-44, False), (2.0**-39, True)])
def test_a_curvature_that_is_rounding_draws_no_step_size(unit, sign, small, drawn):
    """Less than 10⁻¹² of the largest, in any unit and of any sign, says nothing."""
    values = np.array([sign, small]) * unit
    d = directions.axes((2,), np.dtype(float))._replace(values=values)
    state = state_of(d)
    with np.errstate(all="ignore"):
        new, after = renewal.renew(d, state, np.array([0.0, 1e-9]) * unit, None, False)
    i = int(abs(new.vectors[1, 1]) == 1)  # along the second axis
    assert new.values[i] == small * unit
    expected = 2 * state.delta[1] if drawn else state.delta[1]
    assert after.delta[i] == expected


def test_how_many_coordinates_are_known():
    for shape, k in (((50,), None), ((51,), 50), ((2, 51), 50), ((3, 8), None)):
        assert directions.known(directions.axes(shape, np.dtype(float))) == k
    assert directions.known(some(0, 8, 3)) == 3
