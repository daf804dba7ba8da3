import contextlib
import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import Bounds
from scipy.stats import qmc

from rprop import minimize_batch, minimize_rprop, multistart

BOX = [(-2, 2), (-2, 2)]
DELTA0 = 0.4 / 4  # a tenth of the range of 4 for 16 starts, which are 4 in each direction
KEYS = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message", "x0", "minimum")
BEST = ("x", "fun", "jac", "nit", "status", "success", "message")


def wells(X, tilt=0.1):
    """Four minima near (±1, ±1), all of different depth."""
    slope = tilt * np.array([1.0, 2.0])
    losses = (X * X - 1)[..., 0] ** 2 + (X * X - 1)[..., 1] ** 2
    losses = losses + slope[0] * X[..., 0] + slope[1] * X[..., 1]
    return losses, 4 * X * (X * X - 1) + slope


def equal(result, other):
    for key in KEYS:
        np.testing.assert_array_equal(result.runs[key], other.runs[key], err_msg=key)
    for key in (*BEST, "nfev", "njev", "xl", "funl", "n_minima"):
        np.testing.assert_array_equal(result[key], other[key], err_msg=key)


@pytest.mark.parametrize("vectorized", [False, True])
def test_all_minima_are_found_and_sorted(vectorized):
    result = multistart(wells, BOX, 32, jac=True, vectorized=vectorized, rng=1)
    runs = result.runs
    assert result.n_minima == 4
    assert set(runs.minimum) == {0, 1, 2, 3}
    assert (np.diff(runs.fun) >= 0).all()
    assert (np.diff(runs.minimum) >= 0).all()
    np.testing.assert_array_equal(np.sign(result.xl), [[-1, -1], [1, -1], [-1, 1], [1, 1]])
    for number, (x, loss) in enumerate(zip(result.xl, result.funl, strict=True)):
        np.testing.assert_array_equal(x, runs.x[runs.minimum == number][0])
        assert loss == runs.fun[runs.minimum == number].min()


@pytest.mark.parametrize("vectorized", [False, True])
def test_the_result_is_that_of_the_best_run(vectorized):
    """As those of SciPy's global optimisers are, so that one can replace the other."""
    result = multistart(wells, BOX, 16, jac=True, vectorized=vectorized, rng=1)
    alone = minimize_rprop(wells, result.runs.x0[0], jac=True, bounds=BOX, delta0=DELTA0)
    for key in BEST:
        np.testing.assert_array_equal(result[key], alone[key], err_msg=key)
        assert type(result[key]) is type(alone[key])
    assert result.fun == min(result.runs.fun)
    assert (result.nfev, result.njev) == (sum(result.runs.nfev), sum(result.runs.njev))
    assert len(repr(result)) < 2000
    result.x[...] = result.jac[...] = np.nan
    assert np.isfinite([result.runs.x, result.runs.jac]).all()


def camel(X):
    """Six minima; those at (±1.607, ±0.569) have small basins."""
    x, y = X[..., 0], X[..., 1]
    losses = (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2
    return losses, np.stack([8 * x - 8.4 * x**3 + 2 * x**5 + y, x - 8 * y + 16 * y**3], axis=-1)


@pytest.mark.parametrize("rng", range(6))
def test_six_humps(rng):
    found = multistart(camel, [(-3, 3), (-2, 2)], 64, vectorized=True, rng=rng)
    assert found.n_minima == 6
    np.testing.assert_allclose(np.sort(abs(found.xl[:2, 0])), [0.0898] * 2, atol=1e-4)
    np.testing.assert_allclose(found.funl[:2], -1.0316, atol=1e-4)


def test_rows_are_runs_from_their_starts():
    result = multistart(wells, BOX, 16, jac=True, rng=1)
    for row, x0 in enumerate(result.runs.x0):
        alone = minimize_rprop(wells, x0, jac=True, bounds=BOX, delta0=DELTA0)
        np.testing.assert_array_equal(result.runs.x[row], alone.x)
        assert result.runs.message[row] == alone.message
    given = multistart(wells, BOX, X0=result.runs.x0, jac=True)
    for x, x0 in zip(given.runs.x, given.runs.x0, strict=True):
        np.testing.assert_array_equal(x, minimize_rprop(wells, x0, jac=True, bounds=BOX).x)


def test_the_result_does_not_depend_on_workers():
    expected = multistart(wells, BOX, 16, jac=True, rng=3)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool, ThreadPoolExecutor(3) as threads:
        for workers in (pool.map, pool.imap, threads.map):
            equal(multistart(wells, BOX, 16, jac=True, rng=3, workers=workers), expected)
    equal(multistart(wells, BOX, 16, vectorized=True, rng=3), expected)
    equal(multistart(wells, zip([-2, -2], [2, 2], strict=True), 16, jac=True, rng=3), expected)
    equal(
        multistart(wells, zip([-2, -2], [2, 2], strict=True), 16, vectorized=True, rng=3), expected
    )
    other = multistart(wells, BOX, 16, jac=True, rng=4)
    assert (other.runs.x0 != expected.runs.x0).any()


@pytest.mark.parametrize(("workers", "processes"), [(2, 2), (np.int64(3), 3), (-1, None)])
def test_how_many_processes_work(monkeypatch, workers, processes):
    asked = []

    def pool(count):
        asked.append(count)
        return contextlib.nullcontext(SimpleNamespace(imap=map))

    monkeypatch.setattr(multiprocessing, "Pool", pool)
    found = multistart(wells, BOX, 4, jac=True, rng=3, workers=workers)
    assert asked == [processes]
    equal(multistart(wells, BOX, 4, jac=True, rng=3, workers=1), found)
    assert len(asked) == 1


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # if JAX has been imported
def test_workers_as_a_number():
    expected = multistart(wells, BOX, 4, jac=True, rng=3)
    equal(multistart(wells, BOX, 4, jac=True, rng=3, workers=2), expected)


@pytest.mark.parametrize("sampling", ["sobol", "latinhypercube"])
@pytest.mark.parametrize("count", [1, 5, 16, None])
def test_starts_are_the_sample_of_scipy(sampling, count):
    result = multistart(wells, BOX, count, vectorized=True, rng=7, sampling=sampling)
    count = 64 if count is None else count
    if sampling == "sobol":
        sample = qmc.Sobol(2, rng=7).random_base2(int(np.ceil(np.log2(count))))[:count]
    else:
        sample = qmc.LatinHypercube(2, rng=7).random(count)
    expected = qmc.scale(sample, [-2, -2], [2, 2])
    by_rows = lambda rows: rows[np.lexsort(rows.T)]
    np.testing.assert_array_equal(by_rows(result.runs.x0), by_rows(expected))


def test_given_starts():
    X0 = np.array([[0.9, 0.9], [-0.9, -0.9], [0.8, 0.9]])
    result = multistart(wells, X0=X0, vectorized=True)
    np.testing.assert_array_equal(result.runs.x0[0], X0[1])
    assert result.n_minima == 2
    np.testing.assert_array_equal(result.runs.minimum, [0, 1, 1])
    free = minimize_batch(wells, result.runs.x0)
    np.testing.assert_array_equal(result.runs.x, free.x)


NEAR = np.array([0.0, 0.0009, 0.0018, 1.0])


@pytest.mark.parametrize(
    ("starts", "given"),
    [(3 + 2 * NEAR, {}), (3 + NEAR / 2, {}), ([0, 0.25, 0.51, 1], {"separation": 0.25})],
)
def test_minima_are_apart_by_more_than_the_separation(starts, given):
    """A thousandth of the range by default; the first point of a minimum decides."""
    X0 = np.reshape(starts, (4, 1))
    ended = multistart(lambda X: (X[:, 0], 0 * X), X0=X0, vectorized=True, **given)
    np.testing.assert_array_equal(ended.runs.minimum, [0, 0, 1, 2])


@pytest.mark.parametrize(("slope", "count"), [(0.9e-3, 1), (1.5e-3, 2)])
def test_separation_where_all_starts_agree(slope, count):
    def fun(x):  # a valley along y = slope * x
        rest = x[1] - slope * x[0]
        return rest**2, 2 * rest * np.array([-slope, 1])

    found = multistart(fun, X0=[[0, 1], [1, 1]], jac=True, separation=[9, 1e-3], basis=None)
    assert found.runs.success.all()
    assert found.n_minima == count


@pytest.mark.parametrize(
    ("n", "given"),
    [(1, None), (2, None), (2, "auto"), (1, 0.3), (2, np.array([0.3, 0.2]))],
    ids=str,
)
def test_the_first_step_sizes(n, given):
    """By default they are a tenth of the distance of the starts."""
    delta0 = 0.1 * 0.5 * 8 ** (-1 / n) if given is None or isinstance(given, str) else given
    fun = lambda x: (((x - 0.3) ** 2).sum(), 2 * x - 0.6)
    options = {"bounds": [(0, 0.5)] * n, "jac": True, "maxiter": 1}
    runs = multistart(fun, n_starts=8, rng=0, delta0=given, **options).runs
    for x0, x in zip(runs.x0, runs.x, strict=True):
        np.testing.assert_array_equal(x, minimize_rprop(fun, x0, delta0=delta0, **options).x)
        assert (x != minimize_rprop(fun, x0, **options).x).any()


def test_gradients_of_many_may_come_apart():
    expected = multistart(wells, BOX, 8, vectorized=True, rng=1)
    loss, jac = (lambda X: wells(X)[0]), (lambda X: wells(X)[1])
    equal(multistart(loss, BOX, 8, vectorized=True, rng=1, jac=jac), expected)


def test_separation_of_each_variable():
    """Wells that differ in the second variable alone count as one where it does not matter."""
    found = multistart(wells, BOX, 32, vectorized=True, rng=1, separation=[1e-3, 1])
    assert found.n_minima == 2
    assert set(np.sign(found.xl[:, 0])) == {-1, 1}


# What is kept, watched and interrupted


@pytest.mark.parametrize("vectorized", [False, True])
def test_what_is_asked_for_is_kept(vectorized):
    given = {"history": True, "return_all": True, "return_state": True, "maxiter": 7}
    found = multistart(wells, BOX, 16, jac=True, vectorized=vectorized, rng=1, **given)
    for row, x0 in enumerate(found.runs.x0):
        options = {"jac": True, "bounds": BOX}
        alone = minimize_rprop(
            wells, x0, **options, delta0=DELTA0, history=True, return_all=True, maxiter=7
        )
        np.testing.assert_array_equal(found.runs.history[row], alone.history)
        np.testing.assert_array_equal(found.runs.allvecs[row], alone.allvecs)
        on, rest = (
            minimize_rprop(wells, None, jac=True, state=s, history=True)
            for s in (found.runs.state[row], alone.state)
        )
        np.testing.assert_array_equal(on.history, rest.history)
        np.testing.assert_array_equal(on.x, rest.x)
    np.testing.assert_array_equal(found.history, found.runs.history[0])
    np.testing.assert_array_equal(found.allvecs, found.runs.allvecs[0])
    end = minimize_rprop(wells, None, jac=True, state=found.state)
    assert end.success
    assert end.fun <= found.fun
    assert all(state.here.x.base is None for state in found.runs.state)  # none keeps the others
    one = multistart(wells, BOX, 1, jac=True, vectorized=vectorized, rng=1, **given)
    assert len(one.runs.state) == len(one.runs.allvecs) == len(one.runs.history) == 1
    bare = multistart(wells, BOX, 8, jac=True, vectorized=vectorized, rng=1, maxiter=7)
    assert not {"history", "allvecs", "state"} & (set(bare) | set(bare.runs))


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_callback_that_stops_ends_the_search(vectorized):
    calls, maxiter = 0, 100 if vectorized else 30

    def callback(intermediate_result):
        nonlocal calls
        calls += 1
        if calls == 40:
            raise StopIteration

    found = multistart(wells, BOX, 8, jac=True, vectorized=vectorized, rng=1, callback=callback,
                       gtol=0, xtol=0, ftol=0, maxiter=maxiter)  # fmt: skip
    assert calls == 40
    if vectorized:
        assert set(found.runs.status) == {99}
        assert len(found.runs.x) == 8
        return
    assert np.count_nonzero(found.runs.status == 99) == 1
    assert (
        found.runs.nit[found.runs.status == 99] + sum(found.runs.nit[found.runs.status != 99]) == 40
    )
    threads = ThreadPoolExecutor(1)
    with threads:
        calls = 0
        again = multistart(wells, BOX, 8, jac=True, rng=1, callback=callback, workers=threads.map,
                           gtol=0, xtol=0, ftol=0, maxiter=maxiter)  # fmt: skip
    equal(again, found)


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("error", [KeyError("enough"), KeyboardInterrupt()])
def test_an_exception_carries_what_was_found(vectorized, error):
    calls = 0

    def fun(X):
        nonlocal calls
        calls += 1
        if calls == (12 if vectorized else 150):
            raise error
        return wells(X)

    with pytest.raises(type(error)) as caught:
        multistart(fun, BOX, 8, jac=True, vectorized=vectorized, rng=1)
    found = caught.value.result
    assert found.x.shape == (2,)
    assert found.fun == wells(found.x)[0] == min(found.runs.fun)
    assert found.nfev == (8 * 11 if vectorized else 149)
    if not vectorized:
        assert 1 < len(found.runs.x) < 8
        assert found.success


def test_nothing_was_found_before_an_exception():
    with pytest.raises(ZeroDivisionError) as caught:
        multistart(lambda x: 1 / 0, BOX, 8, jac=True)
    assert caught.value.result is None


def test_fun_cannot_end_the_search_by_accident():
    losses = []

    def fun(x):
        if len(losses) == 5:
            raise StopIteration
        losses.append(wells(x)[0])
        return wells(x)

    with pytest.raises(RuntimeError, match="fun raised StopIteration") as caught:
        multistart(fun, BOX, 8, jac=True)
    assert caught.value.result.nfev == 5
    assert caught.value.result.fun == min(losses)


def test_one_bar_for_all_starts(capsys):
    multistart(wells, BOX, 8, jac=True, rng=1)
    assert capsys.readouterr() == ("", "")
    found = multistart(wells, BOX, 8, jac=True, rng=1, progress=True, disp=True)
    out, err = capsys.readouterr()
    assert out.count("Current function value") == 1
    assert "8/8" in err or "8 start" in err
    last = err.rsplit("\r", 1)[-1]
    assert last.endswith("\n")
    assert re.search(f"loss.{found.fun:.6g}\\b", last)  # the lowest by now
    multistart(wells, BOX, 8, vectorized=True, rng=1, progress=True, disp=True)
    assert capsys.readouterr().out.count("Current function value") == 1


# The rest


def test_arguments_are_shared_by_all_starts():
    def fun(X, table):
        assert table.shape == (4, 3)
        return wells(X)

    multistart(fun, BOX, 4, args=(np.zeros((4, 3)),), vectorized=True, keep_shape=True)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_fixed_variable_and_failures(bad):
    def fun(x):
        loss, gradient = wells(x)
        return (bad if x[0] > 0 else loss), gradient

    result = multistart(fun, Bounds([-2, 1], [2, 1]), 8, jac=True, rng=0)
    runs = result.runs
    assert (runs.x[:, 1] == 1).all()
    failed = runs.x0[:, 0] > 0
    assert 0 < failed.sum() < 8
    assert not runs.success[failed].any()
    assert (runs.minimum[failed] == -1).all()
    assert result.n_minima == 1
    assert not np.isfinite(runs.fun[-1])
    assert np.isfinite(result.fun)


def test_no_minimum():
    result = multistart(lambda x: (np.nan, x), BOX, 4, jac=True)
    assert result.n_minima == 0
    assert set(result.runs.minimum) == {-1}
    assert not result.success
    assert result.xl.shape == (0, 2)


BAD = {
    "no start": ({"n_starts": 0}, "n_starts must be a positive integer; got 0"),
    "half": ({"n_starts": 2.5}, "n_starts must be a positive integer; got 2.5"),
    "nothing": ({"bounds": None}, "bounds or X0 must be given"),
    "infinite": ({"bounds": [(0, None)]}, "bounds must be finite unless X0 is given"),
    "below": ({"bounds": [(0, 1), (None, 0)]}, "bounds must be finite unless X0 is given"),
    "sampling": ({"sampling": "grid"}, "sampling must be one of sobol, latinhypercube; got 'grid'"),
    "separation": ({"separation": -1}, "separation must be a number that is not negative; got -1"),
    "separations": ({"separation": [1, 2, 3]}, r"separation must broadcast.*\(2,\).*\(3,\)"),
    "rng": ({"rng": "seed"}, "rng must be None, a number .* numpy.random.Generator; got 'seed'"),
    "negative rng": ({"rng": -1}, "rng must be None, a number that is not negative.*got -1"),
    "fraction": ({"rng": 0.5}, "rng must be None, a number.*got 0.5"),
    "no workers": ({"workers": 0}, "workers must be a positive number of processes.*got 0"),
    "few workers": ({"workers": -2}, "workers must be a positive number of processes.*got -2"),
    "state": ({"state": None}, r"state cannot be given.*minimize_rprop.*result\.runs\.state"),
    "option": ({"gtoll": 1}, r"multistart got unknown options: gtoll \(did you mean gtol\?\)"),
    "of one": ({"vectorized": True, "eps": 1e-8}, "multistart got unknown options: eps"),
    "of many": ({"keep_shape": True}, "multistart got unknown options: keep_shape"),
    "delta0": ({"delta0": "small"}, "delta0 must be 'auto' or positive numbers; got 'small'"),
    "in_axes": ({"vectorized": True, "in_axes": 0}, "multistart got unknown options: in_axes"),
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
    with pytest.raises((TypeError, ValueError), match=message):
        multistart(**given)


@pytest.mark.parametrize("largest", [1.7e308, 1e-300])
def test_bounds_as_far_apart_as_floats_can_be(largest):
    points = []

    def fun(x):
        points.append(x.copy())
        return float(np.log1p(abs(x)).sum()), np.sign(x) / (1 + abs(x))

    multistart(fun, [(-largest, largest)] * 2, 8, jac=True, rng=0, maxiter=1)
    assert (np.abs(points) <= largest).all()
    if largest > 1:  # all over the box
        starts = np.array(points)
        assert (starts.min(axis=0) < -largest / 4).all()
        assert (starts.max(axis=0) > largest / 4).all()
