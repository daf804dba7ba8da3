"""What `fun`, `callback` and the caller get, and what they may do with it."""

import functools
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import Bounds, OptimizeWarning

from rprop import minimize_batch, minimize_rprop
from rprop.solver import batch
from tests.solver.batches import one, rosenbrock, solve, starts


def test_inputs_are_not_written_to():
    X0, steep = starts()
    lower = X0 - 1
    for array in (X0, steep, lower):
        array.setflags(write=False)
    kept = []

    def hostile(X, steep):
        losses, gradients = rosenbrock(X, steep)
        X[...] = np.nan
        kept.extend([losses, gradients])
        for array in kept[:-2]:
            array[...] = np.nan
        return losses, gradients

    expected = solve(rosenbrock, X0, (steep,), Bounds(lower, np.inf), maxiter=50)
    result = solve(hostile, X0, (steep,), Bounds(lower, np.inf), maxiter=50)
    np.testing.assert_array_equal(result.x, expected.x)
    assert not np.shares_memory(result.x, X0)


def test_callback_sees_the_best_points_of_all_rows():
    X0, steep = starts()
    losses, shapes = [], []

    def callback(intermediate_result):
        losses.append(intermediate_result.fun)
        shapes.append(intermediate_result.x.shape)

    result = solve(rosenbrock, X0, (steep,), callback=callback, maxiter=100)
    assert len(losses) == result.nit.max()
    assert set(shapes) == {X0.shape}
    assert (np.diff(losses, axis=0) <= 0).all()
    np.testing.assert_array_equal(losses[-1], result.fun)


def test_callback_stops_what_still_runs():
    X0, steep = starts()
    calls = []

    def callback(X):
        calls.append(X)
        if len(calls) == 60:
            raise StopIteration

    result = solve(rosenbrock, X0, (steep,), callback=callback, gtol=1e-3, variant="irprop+")
    assert set(result.status) == {0, 99}
    assert (result.nit[result.status == 99] == 60).all()
    np.testing.assert_array_equal(result.x, calls[-1])
    np.testing.assert_array_equal(result.success, result.status == 0)


def test_exceptions_carry_the_result_so_far():
    X0, steep = starts()

    def fun(X, steep):
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyError("enough")
        return rosenbrock(X, steep)

    calls = 0
    with pytest.raises(KeyError, match="enough") as caught:
        solve(fun, X0, (steep,))
    assert caught.value.result.x.shape == X0.shape
    assert (caught.value.result.fun <= rosenbrock(X0, steep)[0]).all()
    calls = 29
    with pytest.raises(KeyError, match="enough"):
        solve(fun, X0, (steep,))


def test_fun_cannot_stop_what_has_not_started(monkeypatch):
    X0, steep = starts()
    monkeypatch.setattr(batch, "BLOCK", 60)

    def fun(X, steep):
        if (X0[-1] == X).any():
            raise StopIteration("fun")
        return rosenbrock(X, steep)

    with pytest.raises(StopIteration, match="fun"):
        solve(fun, X0, (steep,))
    with pytest.raises(StopIteration, match="fun"):
        minimize_rprop(functools.partial(one, fun), X0[-1], (steep[-1],), jac=True)


def test_progress_and_disp(capsys):
    X0, steep = starts()
    solve(
        rosenbrock, X0, (steep,), progress=True, disp=True, gtol=1e-3, maxiter=80, variant="irprop+"
    )
    out, err = capsys.readouterr()
    assert err
    assert " of 16: Maximum number of iterations" in out
    assert " of 16: Converged" in out
    with pytest.warns(OptimizeWarning, match="16 of 16: Maximum number of iterations"):
        solve(rosenbrock, X0, (steep,), disp=True, maxiter=1)


@pytest.mark.parametrize(
    ("m", "n", "arrays", "limit"),
    [
        (5_000, 50, 12, {"maxiter": 20}),
        (62_500, 4, 16, {"maxiter": 20}),
        (125_000, 2, 19, {"maxiter": 20}),
        (5_000, 50, 12, {"gtol": 0.3}),
    ],
)
def test_peak_memory(m, n, arrays, limit):
    """Measured in arrays of (m, n); what there is one of per row weighs more where n is small."""
    X0 = np.random.default_rng(0).normal(size=(m, n)) + 3

    def fun(X):
        bend = X[:, 1:] - X[:, :-1] ** 2
        gradients = np.zeros(X.shape)
        gradients[:, :-1] = -4 * X[:, :-1] * bend - 2 * (1 - X[:, :-1])
        gradients[:, 1:] += 2 * bend
        return (bend**2 + (1 - X[:, :-1]) ** 2).sum(axis=1), gradients

    minimize_batch(fun, X0[:10], maxiter=2)
    tracemalloc.start()
    result = minimize_batch(fun, X0, **{"maxiter": 60, "variant": "irprop+", **limit})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < arrays * X0.nbytes
    assert result.success.any() == ("gtol" in limit)


BAD = {
    "empty": ({"X0": np.zeros((0, 2))}, ValueError, r"X0 must hold at least one problem.*\(0, 2\)"),
    "one row": ({"X0": np.zeros(2)}, ValueError, r"shape \(m, n\); got shape \(2,\)"),
    "complex": ({"X0": np.zeros((2, 2), complex)}, TypeError, "X0 must be real"),
    "bounds": ({"bounds": [(0, 1)] * 3}, ValueError, "number of bounds is not compatible"),
    "many bounds": ({"bounds": Bounds(np.zeros((3, 2)))}, ValueError, "number of bounds"),
    "delta0": ({"delta0": np.ones(3)}, ValueError, r"delta0 must broadcast.*\(2, 2\).*\(3,\)"),
    "option": ({"gtoll": 1}, TypeError, "gtoll"),
    "fun": ({"fun": 3}, TypeError, "fun must be callable; got 3"),
    "rows": (
        {"fun": lambda X: (np.zeros(3), np.zeros((3, 2)))},
        ValueError,
        r"losses of shape \(2,\) and gradients of shape \(2, 2\) for 2 rows; got shapes \(3,\)",
    ),
    "column": ({"fun": lambda X: (X[:, :1], X)}, ValueError, r"got shapes \(2, 1\) and \(2, 2\)"),
    "no pair": ({"fun": lambda X: None}, ValueError, r"\(losses, gradients\); got None"),
    "complex losses": ({"fun": lambda X: (X[:, 0] * 1j, X)}, TypeError, "real losses"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    given, kind, message = BAD[name]
    given = {"fun": lambda X: ((X**2).sum(axis=1), 2 * X), "X0": np.zeros((2, 2)), **given}
    with pytest.raises(kind, match=message):
        minimize_batch(**given)


def test_what_a_callback_gets_is_its_own():
    X0, steep = starts()

    def hostile(intermediate_result):
        for values in intermediate_result.values():
            if values.dtype != object:
                values[...] = 77

    result = solve(rosenbrock, X0, (steep,), callback=hostile, maxiter=60, return_all=True)
    expected = solve(rosenbrock, X0, (steep,), maxiter=60, return_all=True)
    for key in ("x", "fun", "jac", "nit", "nfev", "status"):
        np.testing.assert_array_equal(result[key], expected[key])
    for found, other in zip(result.allvecs, expected.allvecs, strict=True):
        np.testing.assert_array_equal(found, other)


def test_an_iteration_costs_the_same_however_many_came_before():
    """Counts lines that are executed, as times are not exact."""

    def lines(iterations):
        count = 0

        def trace(frame, event, arg):
            nonlocal count
            count += 1
            return trace

        slopes = np.arange(1.0, iterations + 1)
        before = sys.gettrace()
        sys.settrace(trace)
        try:  # the rows end one after the other
            minimize_batch(
                lambda X: (abs(X[:, 0]), np.sign(X)), slopes[:, None], callback=lambda X: None,
                history=True, return_all=True, delta0=1.0, step_sizes=(1.0, 1.0), variant="rprop-",
                f_target=0.5,
            )  # fmt: skip
        finally:
            sys.settrace(before)
        return count

    short, long = lines(30), lines(60)
    assert long < 2.2 * short


@pytest.mark.parametrize(
    ("m", "n", "rows"),
    [(20_000, 2, [16_384, 3616]), (40_000, 1, [32_768, 7232]), (2, 40_000, [1, 1]), (5, 0, [5])],
)
def test_more_coordinates_than_the_docstring_says_come_in_blocks(m, n, rows):
    seen = []

    def flat(X):
        seen.append(len(X))
        return np.zeros(len(X)), np.zeros(X.shape)

    minimize_batch(flat, np.ones((m, n)))
    assert seen == rows


def test_one_further_argument_need_not_be_a_tuple():
    result = minimize_batch(lambda X, a: (a * (X * X).sum(axis=1), 2 * a * X), [[3.0]], 2.0)
    assert abs(result.x[0, 0]) < 1e-6


def test_the_time_limit_counts_from_the_call(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(batch, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def slow(X):
        clock.now += 1
        return (X**4).sum(axis=1), 4 * X**3

    options = {"delta0": 0.1, "variant": "irprop-"}
    result = minimize_batch(slow, [[3.0, 1.0]], maxtime=5, **options)
    assert (result.status.tolist(), result.nit.tolist(), clock.now) == ([13], [5], 1006)


def test_intermediate_results_have_no_state_and_counts_are_apart():
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)

    X0, steep = starts()
    result = solve(rosenbrock, X0, (steep,), callback=callback, maxiter=3, return_state=True)
    assert len(seen) == 3
    assert set(result) - set(seen[0]) == {"state"}
    for found in (*seen, result):
        assert not np.shares_memory(found.nfev, found.njev)
