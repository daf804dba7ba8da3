"""Finite differences: what they cost is counted, and SciPy's own function can be done without."""

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


def test_a_warning_names_the_step():
    with pytest.warns(OptimizeWarning, match="Give finite_diff_rel_step, or the gradient"):
        minimize_rprop(lambda x: round(float(x @ x), 6), [3.0, 2.0])


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
