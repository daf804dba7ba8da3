"""Arrays with something of each run against their definitions, one run after the other."""

from typing import NamedTuple

import numpy as np
import pytest

from rprop.solver import per_run

INF, NAN = np.inf, np.nan


def cases(n, kind=float):
    """Arrays of one run and of several."""
    rng = np.random.default_rng(n)
    values = rng.choice([-3.0, -1.0, 0.0, 0.5, 2.0], (6, n)).astype(kind)
    return [*values, values, values[:1], np.asfortranarray(values)]


def runs_of(values):
    return [values] if values.ndim == 1 else list(values)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 30])
def test_the_largest_magnitude(n):
    for values in cases(n):
        found = per_run.largest_magnitude(values)
        assert found.shape == values.shape[:-1]
        expected = [max(map(abs, run), default=0) for run in runs_of(values)]
        assert np.ravel(found).tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 8, 9])
def test_the_largest_magnitude_beside_nan_is_nan(n):
    values = np.ones((3, n))
    values[1, n - 1] = NAN
    assert np.isnan(per_run.largest_magnitude(values)).tolist() == [False, True, False]
    assert np.isnan(per_run.largest_magnitude(values[1]))


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 30])
def test_in_all_coordinates(n):
    flags = np.ones((n + 2, n), bool)
    flags[np.arange(n), np.arange(n)] = False
    expected = [all(run) for run in flags.tolist()]
    assert np.asarray(per_run.in_all_coordinates(flags)).tolist() == expected
    assert [bool(per_run.in_all_coordinates(run)) for run in flags] == expected


def test_first_coordinates_and_limits():
    values = np.array([[3.0, -5.0], [0.5, 7.0]])
    assert per_run.first_coordinate(values).tolist() == [3.0, 0.5]
    assert per_run.first_coordinate(values[1]) == 0.5
    assert per_run.limit(values, -1.0, [1.0, 2.0]).tolist() == [[1.0, -1.0], [0.5, 2.0]]


def test_a_loss_and_the_largest_slope_are_finite():
    pairs = [(f, s) for f in (1.0, INF, -INF, NAN) for s in (0.0, 2.0, INF, NAN)]
    losses, slopes = np.array(pairs).T
    found = per_run.are_finite(losses, slopes)
    assert found.tolist() == [bool(np.isfinite(f) and np.isfinite(s)) for f, s in pairs]


@pytest.mark.parametrize("flags", [[False, False], [True, False], [True, True], True, False])
def test_any_and_every_run(flags):
    runs = np.array(flags)[()]
    assert per_run.in_any_run(runs) is bool(np.any(flags))
    assert per_run.in_every_run(runs) is bool(np.all(flags))


class Parts(NamedTuple):
    x: np.ndarray
    f: np.ndarray
    y: np.ndarray


@pytest.mark.parametrize("dtype", [np.float32, float, np.longdouble, np.int8, bool])
@pytest.mark.parametrize("rows", [[0, 0, 0], [1, 0, 1], [1, 1, 1]])
def test_runs_are_chosen_with_all_they_have(dtype, rows):
    rows = np.array(rows, bool)
    x = np.arange(12).reshape(3, 2, 2).astype(dtype)
    a = Parts(x, np.array([1.0, NAN, 3.0]), x.reshape(3, 4))
    b = Parts(x[::-1].copy(), np.array([4.0, 5.0, -0.0]), x[::-1].reshape(3, 4))
    found = per_run.choose_by_run(rows, a, b)
    assert isinstance(found, Parts)
    for part, one, other in zip(found, a, b, strict=True):
        assert part.dtype == one.dtype
        expected = [(one if row else other)[i] for i, row in enumerate(rows)]
        np.testing.assert_array_equal(part, np.array(expected))


@pytest.mark.parametrize("row", [True, False])
def test_of_one_run_all_is_chosen(row):
    a, b = np.ones(2), np.zeros(2)
    assert per_run.choose_by_run(np.bool_(row), a, b) is (a if row else b)
    assert per_run.pick(np.bool_(row), 1, 2) == (1 if row else 2)


def test_numbers_are_picked_by_run():
    assert per_run.pick(np.array([True, False]), 1, 2).tolist() == [1, 2]


def test_what_is_one_array_stays_one():
    made = {}
    one, other = np.ones(2), np.zeros(2)
    found = per_run.rebuild_array(lambda v: v + 1, made, [Parts(one, one, one)])
    assert found.x is found.f
    assert per_run.rebuild_array(lambda v: v + 1, made, [one]) is found.x
    assert per_run.rebuild_array(lambda v: v + 1, made, [other]).tolist() == [1, 1]
    assert per_run.rebuild_array(None, made, [7]) == 7


def test_rows_that_are_one_row_in_memory():
    row, other = np.ones(2), np.ones(2)
    spread, twin = np.broadcast_to(row, (3, 2)), np.broadcast_to(row, (5, 2))
    assert per_run.share_one_row(spread)
    assert per_run.share_one_row(spread, twin)
    assert not per_run.share_one_row(spread, np.broadcast_to(other, (3, 2)))
    assert not per_run.share_one_row(np.ones((3, 2)))
    assert not per_run.share_one_row(spread, np.ones((3, 2)))
    several = np.ones((3, 2))
    assert not per_run.share_one_row(np.broadcast_to(several[0], (3, 2)), several)
