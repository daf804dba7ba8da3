import functools
import pickle
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import Bounds, OptimizeWarning

from rprop import minimize_batch, minimize_rprop
from rprop.solver import batch

KEYS = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message")
PROBLEMS = 40
solve = functools.partial(minimize_batch, in_axes=0)


def rosenbrock(X, steep):
    bend = X[:, 1] - X[:, 0] ** 2
    losses = steep * bend * bend + (1 - X[:, 0]) ** 2
    return losses, np.stack([-4 * steep * X[:, 0] * bend - 2 * (1 - X[:, 0]), 2 * steep * bend], 1)


def one(fun, x, *args):
    losses, gradients = fun(x[None], *(np.asarray(arg)[None] for arg in args))
    return losses[0], gradients[0]


def starts(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(PROBLEMS, 2)), 10.0 ** rng.uniform(-1, 1.5, PROBLEMS)


def check_rows(result, fun, X0, steep, bounds=None, **options):
    """Compare every row with the run of that row alone, bit for bit."""
    for i, x0 in enumerate(X0):
        limits = (
            None if bounds is None else Bounds(*(np.broadcast_to(b, X0.shape)[i] for b in bounds))
        )
        alone = minimize_rprop(
            functools.partial(one, fun), x0, (steep[i],), jac=True, bounds=limits, **options
        )
        for key in KEYS:
            np.testing.assert_array_equal(result[key][i], alone[key], err_msg=f"{key} of row {i}")
        assert result.x.dtype == alone.x.dtype


OPTIONS = {
    "defaults": {},
    "gtol": {"gtol": 1e-3},
    "tol": {"tol": 1e-2},
    "xtol": {"gtol": 0, "xtol": 1e-3},
    "ftol": {"ftol": 1e-6},
    "f_target": {"f_target": 0.1},
    "maxiter": {"maxiter": 25},
    "no iteration": {"maxiter": 0},
    "maxfev": {"maxfev": 37},
    "delta0": {"delta0": 0.3},
    "step_sizes": {"step_sizes": (1e-6, [0.1, 1.0]), "maxiter": 300},
    "etas": {"etas": (0.7, 1.1)},
    "safeguard": {"safeguard": "armijo"},
    "basis": {"basis": "learned"},
    **{name: {"variant": name, "maxiter": 300} for name in ("rprop-", "irprop-", "rprop+")},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_rows_are_the_runs_of_rows_alone(name):
    X0, steep = starts()
    options = {"maxiter": 1000, **OPTIONS[name]}
    result = solve(rosenbrock, X0, (steep,), **options)
    check_rows(result, rosenbrock, X0, steep, **options)
    assert len(set(result.nit)) > 3 or "maxiter" in OPTIONS[name]


BOUNDS = {
    "shared": (np.array([-1.0, -np.inf]), np.array([0.5, 3.0])),
    "one number": (-0.7, np.inf),
    "per row": (-abs(starts(3)[0]), abs(starts(4)[0])),
    "one a row": (-2.0, starts(5)[1][:, None]),
}


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


def paths(name, state=(), dtype=float, **options):
    """Return a batch with everything kept, and the runs of its rows alone."""
    X0, steep = starts()
    given = {"history": True, "return_all": True, **OPTIONS[name], **options}
    low, high = BOUNDS["per row"] if given.get("basis") is None else (-np.inf, np.inf)
    sides = [np.broadcast_to(side, X0.shape) for side in (low, high)]
    batch = solve(
        rosenbrock,
        X0.astype(dtype),
        (steep,),
        Bounds(*sides),
        return_state=True,
        state=state[0].state if state else None,
        **given,
    )
    alone = [
        minimize_rprop(
            functools.partial(one, rosenbrock),
            X0[i].astype(dtype),
            (steep[i],),
            jac=True,
            bounds=Bounds(sides[0][i], sides[1][i]),
            state=state[1][i].state if state else None,
            **given,
        )
        for i in range(PROBLEMS)
    ]
    for i, result in enumerate(alone):
        for key in (*KEYS, "history", "allvecs"):
            np.testing.assert_array_equal(batch[key][i], result[key], err_msg=f"{key} of row {i}")
        assert batch.history[i].dtype == result.history.dtype
    return batch, alone


@pytest.mark.parametrize("name", ["defaults", "safeguard", "basis", "rprop-"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_keep_their_history_and_iterates(name, dtype):
    batch, _ = paths(name, dtype=dtype, maxiter=150)
    assert len(batch.history) == len(batch.allvecs) == PROBLEMS
    assert len({len(line) for line in batch.history}) > 3


TIGHT = {"gtol": 0, "xtol": 1e-12, "maxiter": 70}


@pytest.mark.parametrize("name", ["defaults", "safeguard", "basis", "ftol", "delta0"])
@pytest.mark.parametrize("block", [8, 1000])
def test_resumed_rows_go_on_as_they_do_alone(name, block, monkeypatch):
    """Some rows end at once, some later and some not; all of them go on, twice."""
    monkeypatch.setattr(batch, "BLOCK", block)
    first = paths(name, maxiter=60, gtol=0.3)
    assert len(set(first[0].nit)) > 3
    second = paths(name, (pickle.loads(pickle.dumps(first[0])), first[1]), **TIGHT)
    third = paths(name, second, **TIGHT, safeguard="armijo")
    again = paths(name, second, **TIGHT, safeguard="armijo")
    np.testing.assert_array_equal(third[0].x, again[0].x)
    assert (second[0].nit > 0).any()


def test_a_run_in_two_parts_is_a_run_in_one():
    X0, steep = starts()
    whole = solve(rosenbrock, X0, (steep,))
    part = solve(rosenbrock, X0, (steep,), maxiter=40, return_state=True)
    rest = solve(rosenbrock, None, (steep,), state=part.state)
    for key in ("x", "fun", "jac", "status"):
        np.testing.assert_array_equal(rest[key], whole[key])
    np.testing.assert_array_equal(part.nit + rest.nit, whole.nit)
    assert "state" not in whole


def test_rows_that_were_not_finite_go_on_as_they_do_alone():
    X0, steep = starts()
    holes = np.arange(PROBLEMS) % 3 == 1

    def fun(X, steep, hole):
        losses, gradients = rosenbrock(X, steep)
        lost = hole & (X[:, 0] < 0.3)
        losses[lost] = np.nan
        return losses, gradients

    first = solve(fun, X0, (steep, holes), maxiter=30, return_state=True)
    second = solve(fun, X0, (steep, holes), maxiter=90, state=first.state)
    assert set(first.status) >= {1, 3}
    for i in range(PROBLEMS):
        given = {"args": (steep[i], holes[i]), "jac": True}
        alone = minimize_rprop(functools.partial(one, fun), X0[i], maxiter=30, **given)
        alone = minimize_rprop(
            functools.partial(one, fun), X0[i], maxiter=90, state=alone.state, **given
        )
        for key in KEYS:
            np.testing.assert_array_equal(second[key][i], alone[key], err_msg=f"{key} of row {i}")


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


def test_arguments_are_cut_only_along_an_axis_of_m():
    seen = []

    def fun(X, whole, table, number):
        seen.append((whole.shape, table.shape, number))
        return (X**2).sum(axis=1), 2 * X

    minimize_batch(fun, np.ones((3, 2)), (np.zeros(4), np.zeros((3, 5)), 7.0), maxiter=1)
    assert seen[0] == ((4,), (3, 5), 7.0)


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

    result = solve(
        rosenbrock, X0, (steep,), callback=callback, gtol=1e-3, variant="irprop+"
    )
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
    assert " of 40: Maximum number of iterations" in out
    assert " of 40: Converged" in out
    with pytest.warns(OptimizeWarning, match="40 of 40: Maximum number of iterations"):
        solve(rosenbrock, X0, (steep,), disp=True, maxiter=1)


@pytest.mark.parametrize(
    ("m", "n", "arrays"), [(20_000, 50, 12), (250_000, 4, 13.5), (500_000, 2, 17)]
)
@pytest.mark.parametrize("limit", [{"maxiter": 20}, {"gtol": 0.3}])
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
