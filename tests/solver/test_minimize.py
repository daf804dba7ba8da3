"""`minimize_rprop`: what it evaluates, when it stops, what it survives, how it goes on."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import (
    Bounds,
    OptimizeWarning,
    basinhopping,
    dual_annealing,
    minimize,
    rosen,
    rosen_der,
)

from rprop import minimize_batch, minimize_rprop

OPTIONS = [
    {},
    {"basis": None},
    {"basis": "learned", "variant": "irprop+"},
    {"safeguard": "armijo"},
    {"variant": "rprop-", "ftol": 1e-12},
    {"variant": "irprop-", "delta0": 0.1},
]


class Watched:
    """A function that records every call and hands out one buffer for all gradients."""

    def __init__(self, fun, faults=()):
        self.fun, self.faults = fun, dict(faults)
        self.points, self.losses, self.buffer = [], [], None

    def __call__(self, x):
        loss, grad = self.fun(x)
        fault = self.faults.get(len(self.points))
        self.points.append(x.copy())
        if self.buffer is None:
            self.buffer = np.empty_like(grad)
        self.buffer[:] = grad
        x[:] = np.nan  # a copy of ours
        if isinstance(fault, Exception):
            raise fault
        if fault is not None and fault[0] == "loss":
            loss = fault[1]
        if fault is not None and fault[0] == "grad":
            self.buffer[0] = fault[1]
        self.losses.append(loss if np.isfinite(self.buffer).all() else np.inf)
        return loss, self.buffer


def rosenbrock(x):
    return rosen(x), rosen_der(x)


def plateau(x):
    """Steps with a gradient that flips everywhere."""
    return float(np.floor(np.abs(x)).sum()), np.sign(x)


def bowl(x):
    return float(((x - 1.25) ** 2).sum()), 2 * (x - 1.25)


functions = st.sampled_from([rosenbrock, plateau, bowl])
starts = st.lists(st.floats(-4, 4), min_size=2, max_size=4).map(np.array)


def test_every_form_is_one_method():
    x0 = np.array([-1.2, 1.0])
    direct = minimize_rprop(rosenbrock, x0, jac=True)
    for result in (
        minimize(rosenbrock, x0, jac=True, method=minimize_rprop),
        minimize(rosen, x0, jac=rosen_der, method=minimize_rprop),
        minimize(
            lambda x, a: rosen(x), x0, (1,), jac=lambda x, a: rosen_der(x), method=minimize_rprop
        ),
    ):
        assert (result.x.tobytes(), result.fun, result.nfev) == (
            direct.x.tobytes(),
            direct.fun,
            direct.nfev,
        )
    for method in ("2-point", "3-point", "cs"):
        numeric = minimize_rprop(lambda x: ((x - 1.25) ** 2).sum(), x0, finite_diff_method=method)
        assert numeric.fun < 1e-12
    options = {"method": minimize_rprop, "jac": True}
    assert basinhopping(bowl, [9.0, 9.0], niter=2, minimizer_kwargs=options, rng=0).fun < 1e-12
    annealed = dual_annealing(
        lambda x: bowl(x)[0],
        [(-5, 5)] * 2,
        maxiter=3,
        rng=0,
        minimizer_kwargs={"method": minimize_rprop},
    )
    assert annealed.fun < 1e-9


@settings(max_examples=60)
@given(functions, starts, st.sampled_from(OPTIONS), st.integers(1, 120))
def test_evaluations(fun, x0, options, maxfev):
    watched, given_x0 = Watched(fun), x0.copy()
    result = minimize_rprop(watched, x0, jac=True, maxfev=maxfev, **options)
    assert np.array_equal(x0, given_x0)
    assert result.nfev == result.njev == len(watched.points) <= maxfev
    assert result.fun == min(watched.losses) == fun(result.x)[0]
    np.testing.assert_array_equal(result.jac, fun(result.x)[1])
    visited = [x.tobytes() for x in watched.points]
    assert all(a != b for a, b in pairwise(visited))
    if "delta0" in options:  # no search, so at most one evaluation per iteration
        assert len(visited) <= result.nit + 1


@settings(max_examples=60)
@given(functions, starts, st.sampled_from(OPTIONS), st.data())
def test_bounds_are_never_left(fun, x0, options, data):
    lower = np.array(data.draw(st.lists(st.floats(-3, 3), min_size=len(x0), max_size=len(x0))))
    width = data.draw(
        st.lists(st.sampled_from([0.0, 0.1, 2.0, np.inf]), min_size=len(x0), max_size=len(x0))
    )
    upper = lower + width
    watched = Watched(fun)
    result = minimize_rprop(
        watched, x0, jac=True, bounds=Bounds(lower, upper), maxfev=100, **options
    )
    assert all(((lower <= x) & (x <= upper)).all() for x in watched.points)
    assert result.fun == min(watched.losses)
    if not any(width):
        assert (result.nfev, result.status) == (1, 7)


def test_a_pinned_coordinate_keeps_its_step_and_leaves_at_once():
    calls = []

    def fun(x):  # pushes against the upper bound for 30 evaluations, then away from it
        calls.append(x.copy())
        slope = -1.0 if len(calls) <= 30 else 1.0
        return -float(len(calls)), np.array([slope, 1.0])

    result = minimize_rprop(
        fun,
        [0.0, 0.0],
        jac=True,
        bounds=[(-1, 0.1), (None, None)],
        delta0=0.1,
        maxfev=40,
        history=True,
    )
    assert [x[0] for x in calls[2:30]] == [0.1] * 28
    assert calls[31][0] < 0.1
    assert abs(calls[31][0] - 0.1) <= 0.1 * 1.2
    assert result.nfev == 40


FAULTS = st.one_of(
    st.tuples(st.just("loss"), st.sampled_from([np.nan, np.inf, -np.inf])),
    st.tuples(st.just("grad"), st.sampled_from([np.nan, np.inf, -np.inf])),
)


@settings(max_examples=60)
@given(functions, starts, st.sampled_from(OPTIONS), st.dictionaries(st.integers(1, 60), FAULTS))
def test_faults_on_the_way(fun, x0, options, faults):
    watched = Watched(fun, faults)
    result = minimize_rprop(watched, x0, jac=True, maxfev=80, **options)
    assert np.isfinite(result.fun)
    assert result.fun <= watched.losses[0]
    assert np.isfinite(result.jac).all()
    assert result.message


@pytest.mark.parametrize("fault", [("loss", np.nan), ("grad", np.inf)])
def test_a_fault_at_the_start(fault):
    result = minimize_rprop(Watched(bowl, {0: fault}), [1.0, 2.0], jac=True)
    assert (result.status, result.success, result.nfev) == (3, False, 1)


@settings(max_examples=20)
@given(
    st.integers(1, 30),
    st.sampled_from([ValueError("x"), KeyboardInterrupt()]),
    st.sampled_from([0.1, "auto"]),
)
def test_exceptions_carry_the_best_point_so_far(when, error, delta0):
    watched = Watched(rosenbrock)
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) > when:
            raise error
        return watched(x)

    with pytest.raises(type(error)) as caught:
        minimize_rprop(fun, [-1.2, 1.0], jac=True, delta0=delta0)
    assert caught.value.result.fun == min(watched.losses)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ((1.0, np.zeros(3)), ValueError, r"gradient must have the shape of x0, \(2,\); got shape"),
        ((1.0, [1j, 0]), TypeError, "gradient must be real"),
        (3.0, ValueError, r"fun must return \(loss, gradient\) with jac=True; got 3.0"),
        (([1.0, 2.0], [0.0, 0.0]), ValueError, "must return a scalar"),
    ],
)
def test_unusable_values_are_named(value, error, message):
    with pytest.raises(error, match=message):
        minimize_rprop(lambda x: value, [0.0, 0.0], jac=True)


@pytest.mark.parametrize("minimizer", [minimize_rprop, minimize_batch])
def test_a_state_that_is_none(minimizer):
    with pytest.raises(TypeError, match="state must be the state of an earlier result; got 3"):
        minimizer(bowl, [0.0], state=3)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 0),
        ({"gtol": 0, "ftol": 0}, 4),
        ({"gtol": 1e-3}, 0),
        ({"maxiter": 7}, 1),
        ({"maxfev": 9}, 2),
        ({"ftol": 0.5, "variant": "irprop-", "delta0": 1e-4}, 5),
        ({"f_target": 0.1}, 6),
        ({"bounds": [(1, 1), (2, 2)]}, 7),
    ],
)
def test_reasons_to_stop(options, status):
    result = minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, **options)
    assert result.status == status
    assert result.success == (status in (0, 4, 5, 6, 7))
    assert result.nfev <= options.get("maxfev", np.inf)
    assert result.nit <= options.get("maxiter", np.inf)


def test_an_unusable_point_at_a_bound_is_evaluated_once():
    points = []

    def fun(x):
        points.append(tuple(x))
        return (np.nan if x[0] == 1 else -x.sum()), -np.ones(2)

    minimize_rprop(fun, [0.5, 0.5], jac=True, bounds=[(0, 1)] * 2, delta0=(10.0, 0.01), maxiter=9)
    assert len(points) == len(set(points))


def test_small_units_are_no_convergence():
    """The first-step search shrinks Δ0 a lot; xtol is relative to what it found."""
    result = minimize_rprop(
        lambda x: (((x - 1e-9) ** 2).sum() * 1e18, 2e18 * (x - 1e-9)), np.zeros(2), jac=True
    )
    assert result.success
    assert result.fun < 1e-10


def test_float32_runs_end_by_themselves():
    result = minimize_rprop(
        rosenbrock, np.array([-1.2, 1.0], np.float32), jac=True, basis="learned"
    )
    assert result.status in (0, 4)
    assert result.fun < 1e-6


def test_no_usable_loss_where_all_is_fixed():
    result = minimize_rprop(lambda x: (np.nan, x), [1.0], jac=True, bounds=[(1, 1)])
    assert (result.status, result.success) == (3, False)


@pytest.mark.parametrize("minimizer", [minimize_rprop, minimize_batch])
def test_stop_iteration_of_fun_propagates(minimizer):
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) > 3:
            raise StopIteration
        return (x**2).sum(axis=-1), 2 * x

    options = {"jac": True} if minimizer is minimize_rprop else {}
    with pytest.raises(StopIteration) as caught:
        minimizer(fun, np.ones(2) if options else np.ones((1, 2)), **options)
    assert caught.value.result.fun < 2


def test_stalled():
    start = np.array([1.0, 1.0])

    def fun(x):
        return (1.0 if (x == start).all() else np.nan), np.array([1.0, -1.0])

    result = minimize_rprop(fun, start, jac=True)
    assert (result.status, result.success, result.fun) == (8, False, 1.0)


def test_all_flipped_is_no_convergence():
    """An iteration in which every coordinate flips moves nothing, and says nothing."""
    result = minimize_rprop(bowl, [0.0, 0.0], jac=True, delta0=1.0, history=True, ftol=1e-300)
    assert (result.history["flips"] == 2).any()
    assert result.success
    np.testing.assert_allclose(result.x, 1.25, atol=1e-6)


def test_callbacks():
    seen = []
    new = minimize_rprop(
        rosenbrock,
        [-1.2, 1.0],
        jac=True,
        maxiter=5,
        callback=lambda intermediate_result: seen.append(intermediate_result.fun),
    )
    assert len(seen) == new.nit == 5
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == new.fun

    def stop(xk):
        seen.append(xk)
        raise StopIteration

    result = minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, callback=stop)
    assert (result.status, result.nit, result.success) == (99, 1, False)


def test_warnings_point_here():
    with pytest.warns(OptimizeWarning, match="Unknown solver options: what") as caught:
        minimize(rosenbrock, [0.0, 0.0], jac=True, method=minimize_rprop, options={"what": 1})
    with pytest.warns(RuntimeWarning, match="does not use Hessian") as more:
        minimize_rprop(rosenbrock, [0.0, 0.0], jac=True, hess=lambda x: None)
    assert [w.filename for w in [*caught, *more]] == [__file__] * 2


@pytest.mark.parametrize("options", [*OPTIONS, {"bounds": [(-2, 0.5), (0, 3)]}])
@pytest.mark.parametrize("stop", [0, 1, 2, 17, 49, 60])
def test_resumed_to_the_bit(options, stop):
    whole = minimize_rprop(
        rosenbrock, [-1.2, 1.0], jac=True, maxiter=90, return_all=True, **options
    )
    first = minimize_rprop(
        rosenbrock, [-1.2, 1.0], jac=True, maxiter=stop, return_all=True, **options
    )
    state = pickle.loads(pickle.dumps(first.state))
    rest = minimize_rprop(
        rosenbrock,
        [-1.2, 1.0],
        jac=True,
        maxiter=90 - stop,
        return_all=True,
        **{**options, "state": state},
    )
    assert (rest.x.tobytes(), rest.fun) == (whole.x.tobytes(), whole.fun)
    joined = [x.tobytes() for x in first.allvecs[:-1] + rest.allvecs]
    assert joined == [x.tobytes() for x in whole.allvecs]


def test_history():
    watched = Watched(rosenbrock)
    result = minimize_rprop(watched, [-1.2, 1.0], jac=True, maxiter=50, history=True)
    history = result.history
    assert history["nit"].tolist() == list(range(51))
    assert history["nfev"][-1] == result.nfev
    np.testing.assert_array_equal(np.minimum.accumulate(history["fun"]), history["best_fun"])
    assert (history["delta_min"] <= history["delta_median"]).all()
    assert (history["delta_median"] <= history["delta_max"]).all()


@pytest.mark.parametrize("installed", [True, False])
def test_progress_goes_to_standard_error(capsys, monkeypatch, installed):
    if installed:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, maxiter=5, progress=True)
    out, err = capsys.readouterr()
    assert not out
    assert err


def test_iterates_are_torchs_to_the_bit():
    torch = pytest.importorskip("torch")
    x0 = np.array([-1.2, 1.0, 0.3])
    result = minimize_rprop(
        rosenbrock,
        x0,
        jac=True,
        delta0=0.01,
        variant="irprop-",
        step_sizes=(1e-6, 50),
        maxiter=300,
        return_all=True,
        xtol=0,
        gtol=0,
    )
    x = torch.tensor(x0, requires_grad=True)
    optimizer = torch.optim.Rprop([x], lr=0.01)
    for expected in result.allvecs:
        np.testing.assert_array_equal(x.detach().numpy(), expected)
        x.grad = torch.tensor(rosen_der(x.detach().numpy()))
        optimizer.step()


def test_the_safeguard_converges_where_the_rule_alone_stalls():
    """A narrow valley across the axes, with factors so extreme that Rprop stops in it."""
    turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)

    def valley(x):
        z = turn @ x
        return float(20 * z[0] ** 2 + z[1] ** 2), turn.T @ (np.array([40.0, 2.0]) * z)

    options = {
        "jac": True,
        "maxiter": 10_000,
        "xtol": 0,
        "etas": (0.01, 1.0001),
        "basis": None,
        "ftol": 0,
    }
    alone = minimize_rprop(valley, [3.0, 1.0], **options)
    guarded = minimize_rprop(valley, [3.0, 1.0], safeguard="armijo", **options)
    assert np.abs(alone.jac).max() > 1
    assert np.abs(guarded.jac).max() < 1e-6


@pytest.mark.parametrize(
    ("x0", "dtype"),
    [
        (3, np.float64), ([3, 4], np.float64), ((3.0,), np.float64),
        (np.float32([1, 2]), np.float32), (np.array([1, 2], ">f8"), np.float64),
        (np.float16([1, 2]), np.float64), (np.array([True, False]), np.float64),
    ],
)  # fmt: skip
def test_kinds_of_x0(x0, dtype):
    result = minimize_rprop(bowl, x0, jac=True)
    assert result.x.dtype == dtype
    assert result.x.shape == np.atleast_1d(x0).shape
    np.testing.assert_allclose(result.x, 1.25, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"basis": "own"}, "basis must be None or 'learned' or 'auto'; got 'own'"),
        ({"safeguard": True}, "safeguard must be None or 'armijo'; got True"),
        ({"gtol": -1}, "gtol must be a number that is not negative; got -1"),
        ({"maxfev": 0}, "maxfev must be at least 1"),
        ({"delta0": "small"}, "delta0 must be 'auto' or positive numbers; got 'small'"),
        ({"variant": "x"}, "variant must be one of"),
        ({"bounds": [(0, 1)]}, "number of bounds is not compatible"),
        ({"bounds": [(1, 0)] * 2}, "upper bound is less than"),
        ({"finite_diff_method": "4-point", "jac": None}, "finite_diff_method must be one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        minimize_rprop(bowl, [0.0, 0.0], **{"jac": True, **options})
