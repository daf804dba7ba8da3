"""Every row is, bit for bit, the run of that row alone."""

import functools

import numpy as np
import pytest
from scipy.optimize import Bounds

from rprop import minimize_rprop
from rprop.solver import batch
from tests.solver.batches import (
    BOUNDS,
    KEYS,
    OPTIONS,
    PROBLEMS,
    check_rows,
    one,
    rosenbrock,
    solve,
    starts,
)


@pytest.mark.parametrize("name", OPTIONS)
def test_rows_are_the_runs_of_rows_alone(name):
    X0, steep = starts()
    options = {"maxiter": 1000, **OPTIONS[name]}
    result = solve(rosenbrock, X0, (steep,), **options)
    check_rows(result, rosenbrock, X0, steep, **options)
    assert len(set(result.nit)) > 3 or "maxiter" in OPTIONS[name]


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds(name):
    X0, steep = starts()
    low, high = BOUNDS[name]

    def inside(X, steep, low, high):
        assert (low <= X).all()
        assert (high >= X).all()
        return rosenbrock(X, steep)

    full = [np.broadcast_to(side, X0.shape) for side in (low, high)]
    result = solve(inside, X0, (steep, *full), Bounds(low, high), maxiter=500)
    check_rows(result, rosenbrock, X0, steep, (low, high), maxiter=500)


def test_bounds_as_pairs():
    X0, steep = starts()
    pairs = solve(rosenbrock, X0, (steep,), [(None, 0.5), (-1, 2)], maxiter=100)
    objects = solve(rosenbrock, X0, (steep,), Bounds([-np.inf, -1], [0.5, 2]), maxiter=100)
    np.testing.assert_array_equal(pairs.x, objects.x)


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble, np.int64])
def test_dtypes(dtype):
    X0, steep = starts()
    X0 = (3 * X0).astype(dtype)
    result = solve(rosenbrock, X0, (steep,), maxiter=100)
    check_rows(result, rosenbrock, X0, steep, maxiter=100)
    learned = solve(rosenbrock, X0, (steep,), maxiter=100, basis="learned")
    check_rows(learned, rosenbrock, X0, steep, maxiter=100, basis="learned")
    assert result.x.dtype == learned.x.dtype == (float if dtype is np.int64 else dtype)


@pytest.mark.parametrize("block", [1, 6, 14, 1000])
def test_blocks_change_nothing(block, monkeypatch):
    X0, steep = starts()
    expected = solve(rosenbrock, X0, (steep,), maxiter=300, delta0=abs(X0) + 0.1)
    monkeypatch.setattr(batch, "BLOCK", block)
    most = max(1, block // 2)

    def fun(X, steep):
        assert len(X) <= most
        return rosenbrock(X, steep)

    result = solve(fun, X0, (steep,), maxiter=300, delta0=abs(X0) + 0.1)
    for key in KEYS:
        np.testing.assert_array_equal(result[key], expected[key])


def test_only_running_rows_are_evaluated():
    X0, steep = starts()
    evaluations = np.zeros(PROBLEMS, int)

    def fun(X, steep, number):
        assert len(X) == len(number) > 0
        evaluations[number] += 1
        return rosenbrock(X, steep)

    result = solve(fun, X0, (steep, np.arange(PROBLEMS)), maxiter=500)
    np.testing.assert_array_equal(result.nfev, evaluations)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("when", ["start", "later"])
def test_rows_that_are_not_finite_disturb_no_other(bad, when):
    X0, steep = starts()
    broken = np.arange(PROBLEMS) % 3 == 1

    def fun(X, steep, broken):
        losses, gradients = rosenbrock(X, steep)
        lost = broken if when == "start" else broken & (abs(X[:, 0] - 0.3) < 0.2)
        losses[lost] = bad
        gradients[lost] = bad
        return losses, gradients

    result = solve(fun, X0, (steep, broken), maxiter=500)
    whole = solve(rosenbrock, X0, (steep,), maxiter=500)
    for key in KEYS:
        np.testing.assert_array_equal(result[key][~broken], whole[key][~broken])
    if when == "start":
        assert set(result.status[broken]) == {3}
        assert not result.success[broken].any()
        np.testing.assert_array_equal(result.x[broken], X0[broken])
    else:
        for i in np.flatnonzero(broken):
            alone = minimize_rprop(
                functools.partial(one, fun), X0[i], (steep[i], True), jac=True, maxiter=500
            )
            np.testing.assert_array_equal(result.x[i], alone.x)
            assert (result.status[i], result.nfev[i]) == (alone.status, alone.nfev)
