import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import Bounds
from scipy.stats import qmc

from rprop import minimize_batch, minimize_rprop, multistart

BOX = [(-2, 2), (-2, 2)]
KEYS = ("x", "fun", "jac", "nit", "nfev", "status", "success", "message", "x0", "minimum")


def wells(X, tilt=0.1):
    """Four minima near (±1, ±1), all of different depth."""
    slope = tilt * np.array([1.0, 2.0])
    losses = (X * X - 1)[..., 0] ** 2 + (X * X - 1)[..., 1] ** 2
    losses = losses + slope[0] * X[..., 0] + slope[1] * X[..., 1]
    return losses, 4 * X * (X * X - 1) + slope


def equal(result, other):
    for key in KEYS:
        np.testing.assert_array_equal(result[key], other[key], err_msg=key)
    assert result.n_minima == other.n_minima


@pytest.mark.parametrize("vectorized", [False, True])
def test_all_minima_are_found_and_sorted(vectorized):
    result = multistart(wells, BOX, 32, jac=True, vectorized=vectorized, rng=1)
    assert result.n_minima == 4
    assert set(result.minimum) == {0, 1, 2, 3}
    assert (np.diff(result.fun) >= 0).all()
    assert (np.diff(result.minimum) >= 0).all()
    signs = {tuple(row) for row in np.sign(result.x).astype(int)}
    assert signs == {(-1, -1), (1, -1), (-1, 1), (1, 1)}
    np.testing.assert_array_equal(np.sign(result.x[0]), [-1, -1])


def test_rows_are_runs_from_their_starts():
    result = multistart(wells, BOX, 8, jac=True, rng=1)
    for row, x0 in enumerate(result.x0):
        alone = minimize_rprop(wells, x0, jac=True, bounds=BOX)
        np.testing.assert_array_equal(result.x[row], alone.x)
        assert result.message[row] == alone.message


def test_the_result_does_not_depend_on_workers():
    expected = multistart(wells, BOX, 16, jac=True, rng=3)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool, ThreadPoolExecutor(3) as threads:
        for workers in (pool.map, threads.map):
            equal(multistart(wells, BOX, 16, jac=True, rng=3, workers=workers), expected)
    equal(multistart(wells, BOX, 16, vectorized=True, rng=3), expected)
    kept = multistart(wells, BOX, 16, vectorized=True, rng=3, history=True, return_state=True)
    equal(kept, expected)
    assert set(kept) == set(expected)
    other = multistart(wells, BOX, 16, jac=True, rng=4)
    assert (other.x0 != expected.x0).any()


def test_workers_as_a_number():
    expected = multistart(wells, BOX, 4, jac=True, rng=3)
    equal(multistart(wells, BOX, 4, jac=True, rng=3, workers=2), expected)


@pytest.mark.parametrize("sampling", ["sobol", "latinhypercube"])
@pytest.mark.parametrize("count", [1, 5, 16])
def test_starts_are_the_sample_of_scipy(sampling, count):
    result = multistart(wells, BOX, count, vectorized=True, rng=7, sampling=sampling)
    if sampling == "sobol":
        sample = qmc.Sobol(2, rng=7).random_base2(int(np.ceil(np.log2(count))))[:count]
    else:
        sample = qmc.LatinHypercube(2, rng=7).random(count)
    expected = qmc.scale(sample, [-2, -2], [2, 2])
    by_rows = lambda rows: rows[np.lexsort(rows.T)]
    np.testing.assert_array_equal(by_rows(result.x0), by_rows(expected))


def test_given_starts():
    X0 = np.array([[0.9, 0.9], [-0.9, -0.9], [0.8, 0.9]])
    result = multistart(wells, X0=X0, vectorized=True)
    np.testing.assert_array_equal(result.x0[0], X0[1])
    assert result.n_minima == 2
    np.testing.assert_array_equal(result.minimum, [0, 1, 1])
    free = minimize_batch(wells, result.x0)
    np.testing.assert_array_equal(result.x, free.x)


def test_arguments_are_shared_by_all_starts():
    def fun(X, table):
        assert table.shape == (4, 3)
        return wells(X)

    multistart(fun, BOX, 4, args=(np.zeros((4, 3)),), vectorized=True)


def test_a_fixed_variable_and_failures():
    def fun(x):
        loss, gradient = wells(x)
        return (np.nan if x[0] > 0 else loss), gradient

    result = multistart(fun, Bounds([-2, 1], [2, 1]), 8, jac=True, rng=0)
    assert (result.x[:, 1] == 1).all()
    failed = result.x0[:, 0] > 0
    assert 0 < failed.sum() < 8
    assert not result.success[failed].any()
    assert (result.minimum[failed] == -1).all()
    assert result.n_minima == 1
    assert np.isnan(result.fun[-1])
    assert np.isfinite(result.fun[0])


def test_no_minimum():
    result = multistart(lambda x: (np.nan, x), BOX, 4, jac=True)
    assert result.n_minima == 0
    assert set(result.minimum) == {-1}


BAD = {
    "no start": ({"n_starts": 0}, "n_starts must be a positive integer; got 0"),
    "half": ({"n_starts": 2.5}, "n_starts must be a positive integer; got 2.5"),
    "nothing": ({"bounds": None}, "bounds or X0 must be given"),
    "infinite": ({"bounds": [(0, None)]}, "bounds must be finite unless X0 is given"),
    "sampling": ({"sampling": "grid"}, "sampling must be one of sobol, latinhypercube; got 'grid'"),
    "separation": ({"separation": -1}, "separation must not be negative; got -1"),
    "empty": ({"X0": np.zeros((0, 2))}, "X0 must hold at least one start"),
    "flat": ({"X0": np.zeros(2)}, r"shape \(n_starts, n\); got shape \(2,\)"),
    "length": ({"X0": np.zeros((3, 2))}, "n_starts must be the length of X0, 3; got 4"),
    "both": ({"vectorized": True, "workers": 2}, "workers must be 1 if fun is vectorized; got 2"),
    "lossy": (
        {"workers": lambda task, items: [task(item) for item in items[1:]]},
        "workers must return a result for each of 4 starts; got 3",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    given, message = BAD[name]
    given = {"fun": wells, "bounds": BOX, "n_starts": 4, "jac": True, **given}
    with pytest.raises(ValueError, match=message):
        multistart(**given)
