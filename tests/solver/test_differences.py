"""Finite differences: what they cost is counted, and SciPy's own function can be done without."""

from contextlib import nullcontext

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning, rosen, rosen_der

from rprop import minimize_rprop
from rprop.solver import objective
from rprop.solver.differences import approx_derivative


@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
@pytest.mark.parametrize("maxfev", [9, 20, 31, 60])
@pytest.mark.parametrize("kind", ["rounded", "holes"])
def test_maxfev_limits_what_is_really_evaluated(kind, maxfev):
    """Where quotients are 0 more is evaluated than usual, where the loss is NaN less."""
    calls = []

    def fun(x):
        calls.append(x.copy())
        if kind == "holes" and x[0] < 0.5:
            return np.nan
        loss = float(((x - (1.0 if kind == "rounded" else 0.5)) ** 2).sum())
        return round(loss, 6) if kind == "rounded" else loss

    result = minimize_rprop(fun, [3.0, 2.0], maxfev=maxfev)
    assert result.nfev == len(calls) <= maxfev
    if result.status == 2:
        assert maxfev - result.nfev < 3  # no room for a loss and two differences


def test_a_warning_names_the_step_once():
    with pytest.warns(
        OptimizeWarning, match="Give finite_diff_rel_step, or the gradient"
    ) as caught:
        result = minimize_rprop(lambda x: round(float(x @ x), 6), [3.0, 2.0])
    assert len(caught) == 1
    assert result.nfev > 3 * result.njev + 4  # longer steps were taken again


@pytest.mark.parametrize(
    ("loss", "status"),
    [
        (lambda x: round(1e6 * float(x @ x), 6), 0),
        (lambda x: round(1e6 * float(x[0] ** 2), 6), 0),
        (lambda x: round(1e6 * float(x[1] ** 2), 6), 0),
        (lambda x: 1.0, 14),
        (lambda x: 1.0 if abs(x).max() < 1e-6 else np.nan, 14),
    ],
)
def test_a_minimum_that_only_longer_steps_show(loss, status):
    with pytest.warns(OptimizeWarning, match="exactly 0 in every free variable"):
        result = minimize_rprop(loss, [0.0, 0.0])
    assert (result.status, result.success) == (status, status == 0)
    assert result.jac.tolist() == [0, 0]


def test_where_the_loss_is_not_finite_or_all_is_fixed_nothing_more_is_evaluated():
    assert minimize_rprop(lambda x: np.nan, [1.0, 2.0]).nfev == 1
    fixed = minimize_rprop(lambda x: float(x @ x), [1.0, 2.0], bounds=[(1, 1), (2, 2)])
    assert (fixed.nfev, fixed.status) == (1, 7)


@pytest.mark.parametrize(("method", "cost"), [("2-point", 3), ("3-point", 5), ("cs", 3)])
def test_maxfev_must_suffice_for_the_start(method, cost):
    def loss(x):
        return (x * x).sum()

    given = {"finite_diff_method": method}
    assert minimize_rprop(loss, [1.0, 2.0], maxfev=cost, **given).nfev == cost
    with pytest.raises(ValueError, match=f"maxfev must be at least {cost}"):
        minimize_rprop(loss, [1.0, 2.0], maxfev=cost - 1, **given)


def test_jac_may_be_a_method_or_false():
    plain, three = (
        minimize_rprop(rosen, [2.0, -1.0], finite_diff_method=m, maxiter=9)
        for m in ("2-point", "3-point")
    )
    assert (
        minimize_rprop(rosen, [2.0, -1.0], jac="3-point", maxiter=9).x.tolist() == three.x.tolist()
    )
    for no in (False, None, 0):
        assert minimize_rprop(rosen, [2.0, -1.0], jac=no, maxiter=9).x.tolist() == plain.x.tolist()
    with pytest.raises(
        TypeError, match=r"jac must be callable, a bool, a string or None; got \[1.0\]"
    ):
        minimize_rprop(rosen, [2.0, -1.0], jac=[1.0])


def test_a_whole_number_is_a_step_that_bounds_shorten():
    for eps in (1, 1.0):
        result = minimize_rprop(lambda x: x[0] ** 2, [0.75], bounds=[(0.5, 1)], eps=eps, maxiter=0)
        np.testing.assert_allclose(result.jac, 0.75 + (1.0 if result.jac[0] > 1.5 else 0.5))


@pytest.mark.parametrize(("method", "each"), [("2-point", 1), ("3-point", 2), ("cs", 1)])
def test_plain_differences_stay_inside_and_are_right(method, each):
    seen = []

    def fun(x):
        seen.append(x)
        return (x**3).sum()

    x = np.array([1.0, -2.0, 0.5])
    box = np.array([1.0, -2.0, -1.0]), np.array([4.0, -2.0 + 1e-3, 0.5])
    slopes, info = approx_derivative(fun, x, method=method, f0=fun(x), bounds=box)
    np.testing.assert_allclose(slopes, 3 * x**2, rtol=1e-4)
    assert info["nfev"] == len(seen) - 1 == each * x.size
    assert all(((box[0] <= p.real) & (p.real <= box[1])).all() for p in seen)


@pytest.mark.parametrize("method", ["2-point", "3-point", "cs"])
def test_a_run_without_scipys_function(method, monkeypatch):
    monkeypatch.setattr(objective, "approx_derivative", approx_derivative)
    result = minimize_rprop(rosen, [-1.2, 1.0], finite_diff_method=method)
    np.testing.assert_allclose(result.x, 1, atol=1e-3)
    assert np.abs(rosen_der(result.x)).max() < 1e-2


def plain(fun, x, f0, method, low, high, rel_step=None, abs_step=None):
    """The quotients of one variable after the other, and the points they need."""
    slopes, points = [], []
    size = {"2-point": 2.0**-26, "3-point": (2.0**-52) ** (1 / 3)}[method]
    for i in range(len(x)):
        step = size * max(1, abs(x[i]))
        if rel_step is not None and x[i]:
            step = rel_step * abs(x[i])
        if abs_step is not None:
            step = abs_step
        ahead, behind = x.copy(), x.copy()
        ahead[i], behind[i] = min(x[i] + step, high[i]), max(x[i] - step, low[i])
        if method == "2-point":
            there = behind if x[i] - behind[i] > ahead[i] - x[i] else ahead
            slopes.append((fun(there) - f0) / (there[i] - x[i]))
            points.append([there])
        else:
            slopes.append((fun(ahead) - fun(behind)) / (ahead[i] - behind[i]))
            points.append([ahead, behind])
    return slopes, [p for many in points for p in many]


@pytest.mark.parametrize("method", ["2-point", "3-point"])
@pytest.mark.parametrize("steps", [{}, {"rel_step": 1e-3}, {"abs_step": 0.25}])
@pytest.mark.parametrize("boxed", [False, True])
def test_plain_differences_are_those_of_the_definition(method, steps, boxed):
    x = np.array([3.0, -2.0, 0.5, 0.0])
    low, high = np.full(4, -np.inf), np.full(4, np.inf)
    if boxed:
        low, high = x - np.array([0.1, 1e-9, 9, 0]), x + np.array([1e-9, 0.1, 0, 9])
    seen, mapped = [], []

    def fun(x):
        seen.append(x.tolist())
        return (x**3).sum() + x[0] * x[1]

    def workers(function, items):
        mapped.append(len(items))
        return map(function, items)

    f0 = fun(x)
    given = {"method": method, "f0": f0, "bounds": (low, high), **steps}
    slopes, info = approx_derivative(fun, x, workers=workers, **given)
    evaluated = seen[1:]
    expected, points = plain(fun, x, f0, method, low, high, **steps)
    assert slopes.tolist() == expected
    assert sorted(evaluated) == sorted(p.tolist() for p in points)
    assert mapped == [info["nfev"]] == [len(evaluated)]


@pytest.mark.parametrize(
    ("kind", "method", "precision", "power"),
    [(float, "2-point", 2.0**-52, 1 / 2), (float, "3-point", 2.0**-52, 1 / 3),
     (np.float32, "2-point", 2.0**-23, 1 / 2), (np.float32, "3-point", 2.0**-23, 1 / 3)],
)  # fmt: skip
@pytest.mark.parametrize("x0", [0.5, -3.0])
def test_steps_suit_the_precision_of_the_loss(kind, method, precision, power, x0):
    seen = []

    def fun(x):
        seen.append(x[0])
        return kind((x**2).sum())

    result = minimize_rprop(fun, [x0], finite_diff_method=method, maxiter=0)
    assert result.nfev == len(seen) == (2 if method == "2-point" else 3)
    step = precision**power * max(1, abs(x0))
    found = sorted(abs(point - x0) for point in seen)
    np.testing.assert_allclose(found[0], 0)
    np.testing.assert_allclose(found[1:], step, rtol=1e-6)


@pytest.mark.parametrize("x0", [0.5, -4.0])
def test_where_nothing_changes_longer_steps_are_taken(x0):
    seen = []

    def fun(x):
        seen.append(x.tolist())
        return 1.0 if abs(x - [x0, 2.0]).max() < 1e-6 else float(x @ [2.0, -3.0])

    low = x0 - 1e-5
    with pytest.warns(OptimizeWarning, match="exactly 0 in every free variable"):
        result = minimize_rprop(fun, [x0, 2.0], maxiter=0, bounds=[(low, None), (None, None)])
    h, k = 1e-4 * max(1, abs(x0)), 2e-4
    assert seen[3:] == [[low, 2.0], [x0 + h, 2.0], [x0, 2.0 - k], [x0, 2.0 + k]]
    np.testing.assert_allclose(result.jac, [2.0, -3.0])
    assert result.nfev == 7
    assert (result.status, result.success) == (1, False)


@pytest.mark.parametrize(("maxfev", "further"), [(6, 0), (7, 4)])
def test_longer_steps_only_as_far_as_maxfev_allows(maxfev, further):
    calls = []
    with pytest.warns(OptimizeWarning) if further else nullcontext():
        result = minimize_rprop(lambda x: calls.append(1) or 1.0, [3.0, 2.0], maxfev=maxfev)
    assert result.nfev == len(calls) == 3 + further
    assert not result.success


def test_fixed_variables_cost_nothing_and_their_slope_is_unknown():
    calls = []

    def fun(x):
        calls.append(x.copy())
        return float(((x - 1) ** 2).sum())

    box = [(None, None), (2.0, 2.0), (0.0, 0.5)]
    result = minimize_rprop(fun, [3.0, 2.0, 0.1], bounds=box)
    assert all(x[1] == 2.0 for x in calls)
    assert np.isnan(result.jac).tolist() == [False, True, False]
    assert result.success
    np.testing.assert_allclose(result.x, [1.0, 2.0, 0.5], atol=1e-6)
    assert result.nfev == len(calls) == 3 * result.njev


def test_complex_steps_are_too_short_to_round():
    seen = []

    def fun(x):
        seen.append(x.imag.max())
        return (x**3).sum()

    x = np.array([0.5, -4.0])
    sides = np.full(2, -np.inf), np.full(2, np.inf)
    slopes, _ = approx_derivative(fun, x, method="cs", f0=None, bounds=sides)
    assert seen == [1e-20, 4e-20]
    np.testing.assert_allclose(slopes, 3 * x * x, rtol=1e-15)


@pytest.mark.parametrize("form", ["joint", "apart", "none"])
def test_a_function_may_write_into_its_point(form):
    """It is given a copy."""

    def loss(x, spoil):
        value = float(rosen(x))
        if spoil and x.dtype == float:
            x[:] = np.nan
        return value

    def slope(x, spoil):
        value = rosen_der(x)
        if spoil:
            x[:] = np.nan
        return value

    def both(x, spoil):
        return loss(x.copy(), spoil), slope(x, spoil)

    fun, jac = {"joint": (both, True), "apart": (loss, slope), "none": (loss, None)}[form]
    clean, spoilt = (
        minimize_rprop(fun, [-1.2, 1.0], args=(spoil,), jac=jac, maxiter=30)
        for spoil in (False, True)
    )
    np.testing.assert_array_equal(spoilt.x, clean.x)
    assert spoilt.nfev == clean.nfev


@pytest.mark.parametrize("option", ["eps", "finite_diff_rel_step"])
@pytest.mark.parametrize("step", [2.0**-10, [2.0**-10, 2.0**-8]])
def test_steps_of_the_user(option, step):
    seen = []

    def fun(x):
        seen.append(x.tolist())
        return float(x @ x)

    minimize_rprop(fun, [2.0, -4.0], maxiter=0, **{option: step})
    one, other = np.broadcast_to(step, 2) * ([2, 4] if option == "finite_diff_rel_step" else 1)
    assert seen[1][0] - 2.0 == one
    assert abs(seen[2][1] + 4.0) == other


@pytest.mark.parametrize("option", ["eps", "finite_diff_rel_step"])
@pytest.mark.parametrize(
    "step", [0.0, -1e-3, np.nan, np.inf, [1e-3] * 3, [1e-3, 0.0], "short", True]
)
def test_bad_steps(option, step):
    with pytest.raises((TypeError, ValueError), match=f"{option} must be "):
        minimize_rprop(rosen, [2.0, -4.0], **{option: step})


def test_a_step_that_is_lost_in_x_is_replaced():
    sides, seen = (np.full(2, -np.inf), np.full(2, np.inf)), []
    x = np.array([3.0, 0.5])
    given = {"method": "2-point", "f0": 0.0, "bounds": sides, "rel_step": 1e-20}
    approx_derivative(lambda x: seen.append(x.tolist()) or 0.0, x, **given)
    assert seen == [[3 + 3 * 2.0**-26, 0.5], [3.0, 0.5 + 2.0**-26]]


def test_advice_suits_what_came():
    ragged = [[1.0], [1.0, 2.0]]
    with pytest.raises(
        ValueError, match=r"the loss must be one number .*; pass jac=True where fun"
    ):
        minimize_rprop(lambda x: (1.0, np.zeros(2)), [0.0, 0.0])
    with pytest.raises(ValueError, match="the gradient must be one number or array; got") as caught:
        minimize_rprop(lambda x: (1.0, ragged), [0.0, 0.0], jac=True)
    assert "jac=True" not in str(caught.value)


@pytest.mark.parametrize("method", ["2-point", "3-point"])
@pytest.mark.parametrize("steps", [{}, {"rel_step": 0.25}, {"abs_step": 0.25}])
def test_points_of_plain_differences_keep_the_dtype(method, steps):
    x, dtypes = np.array([3.0, 0.5], np.float32), set()
    sides = np.full(2, -np.inf, np.float32), np.full(2, np.inf, np.float32)
    given = {"method": method, "f0": 0.0, "bounds": sides, **steps}
    approx_derivative(lambda x: dtypes.add(x.dtype) or 0.0, x, **given)
    assert dtypes == {np.dtype(np.float32)}


@pytest.mark.parametrize("workers", [1, lambda task, points: [task(x) for x in points]])
def test_workers_change_no_bit(workers):
    alone, shared = (
        minimize_rprop(rosen, [2.0, -1.0], maxiter=2, workers=w) for w in (None, workers)
    )
    assert shared.x.tolist() == alone.x.tolist()
    assert shared.nfev == alone.nfev


def test_the_error_of_differences_is_not_called_a_wrong_gradient():
    """At a minimum the quotients are all error, and their signs may be wrong."""
    for seed in range(40):
        x0 = np.random.default_rng(seed).uniform(0.5, 1.5, 2)
        result = minimize_rprop(rosen, x0)
        assert result.success, (seed, result.message)
        assert result.fun < 1e-8 * rosen(x0)
