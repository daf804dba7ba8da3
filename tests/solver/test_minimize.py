"""`minimize_rprop`: what it evaluates, when it stops, what it survives, how it goes on."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import (
    Bounds,
    basinhopping,
    dual_annealing,
    minimize,
    rosen,
    rosen_der,
)

from rprop import minimize_rprop
from tests.solver.functions import OPTIONS, Watched, bowl, functions, rosenbrock, starts


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
        ((1j, [0.0, 0.0]), TypeError, "the loss must be a real number; got 1j"),
        (("low", [0.0, 0.0]), TypeError, "the loss must be a real number; got 'low'"),
    ],
)
def test_unusable_values_are_named(value, error, message):
    with pytest.raises(error, match=message):
        minimize_rprop(lambda x: value, [0.0, 0.0], jac=True)


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
