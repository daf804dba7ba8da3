"""The benchmark's problems are what they say: gradients, starts, published minima."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize

problems = pytest.importorskip("benchmarks.problems")
pytest.importorskip("sklearn")  # some of the data

ALL = problems.UNCONSTRAINED + problems.BOUNDED
NAMED = {"argvalues": ALL, "ids": [p.name for p in ALL]}
EXTENDED = np.finfo(np.longdouble).eps < 1e-18


def feasible(p, x):
    return x if p.bounds is None else np.clip(x, *p.bounds)


def derivative(f, x, i):
    """A central difference of order 8 in extended precision."""
    h = np.zeros_like(x)
    h[i] = (abs(x[i]) or 0.125) / 4096
    weights = np.array([4 / np.longdouble(5), -1 / np.longdouble(5)])
    weights = np.append(weights, [4 / np.longdouble(105), -1 / np.longdouble(280)])
    return sum(w * (f(x + k * h) - f(x - k * h)) for k, w in enumerate(weights, 1)) / h[i]


def test_the_collection():
    names = [p.name for p in ALL]
    assert len(names) == len(set(names))
    assert len(problems.UNCONSTRAINED) >= 120
    assert len(problems.BOUNDED) >= 50
    for group in problems.UNCONSTRAINED, problems.BOUNDED:
        share = sum(p.split == "tune" for p in group) / len(group)
        assert 0.35 < share < 0.65
    assert len({(p.family, p.split) for p in ALL}) == len({p.family for p in ALL})


@pytest.mark.parametrize("p", **NAMED)
def test_start_is_finite(p):
    f, g = p.fun(feasible(p, p.x0))
    assert np.isfinite(p.x0).all()
    assert p.x0.dtype == g.dtype == np.float64
    assert g.shape == p.x0.shape
    assert np.ndim(f) == 0
    assert np.isfinite(f)
    assert np.isfinite(g).all()
    if p.bounds is not None:
        assert (p.bounds[0] <= p.bounds[1]).all()
        assert p.bounds[0].shape == p.bounds[1].shape == p.x0.shape


@pytest.mark.parametrize("p", **NAMED)
def test_value_is_a_function_of_x(p):
    x = feasible(p, p.x0)
    (f, g), (again, g_again) = p.fun(x), p.fun(x.copy())
    assert f == again
    np.testing.assert_array_equal(g, g_again)


@pytest.mark.skipif(not EXTENDED, reason="needs an extended longdouble")
@pytest.mark.parametrize("p", **NAMED)
def test_gradient(p):
    rng = np.random.default_rng(p.n)
    starts = [p.x0, p.x0 + 0.1 * np.maximum(abs(p.x0), 0.1) * rng.uniform(-1, 1, p.n)]
    for start in starts:
        x = feasible(p, start).astype(np.longdouble)
        f, g = p.true(x)
        for i in rng.permutation(p.n)[:12]:
            expected = derivative(lambda y: p.true(y)[0], x, i)
            scale = abs(g).max() + abs(f) * 1e-6
            assert abs(g[i] - expected) <= 1e-9 * scale, (i, g[i], expected)


PUBLISHED = {
    (p.family, p.n): [q for q in ALL if (q.family, q.n) == (p.family, p.n)]
    for p in ALL
    if p.f_opt and (p.family, p.n) != ("watson", 12)  # too ill-conditioned for general solvers
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("key", PUBLISHED)
def test_published_minimum_is_reached(key):
    """From a start, or from near it, a general solver ends in the published value."""
    found = []
    for p in PUBLISHED[key]:
        bounds = None if p.bounds is None else list(zip(*p.bounds, strict=True))
        shifts = [0, *np.random.default_rng(0).uniform(-1, 1, (4, p.n))] if bounds else [0]
        for start in (feasible(p, p.x0 + 4 * s) for s in shifts):
            for method in ("L-BFGS-B",) if bounds else ("BFGS", "L-BFGS-B"):
                settings = {"jac": True, "method": method, "bounds": bounds, "tol": 1e-14}
                found.append(minimize(p.fun, start, **settings).fun)
        if not bounds and p.n <= 6:
            options = {"xatol": 1e-9, "fatol": 1e-12, "maxfev": 4000}
            f = minimize(lambda x, p=p: p.fun(x)[0], p.x0, method="Nelder-Mead", options=options)
            found.append(f.fun)
    assert min(found) == pytest.approx(PUBLISHED[key][0].f_opt, rel=1e-5, abs=1e-13)


def test_watson():
    from benchmarks.problems.mgh import watson

    r = least_squares(lambda x: watson(x)[0], np.zeros(12), lambda x: watson(x)[1], gtol=1e-15)
    (p,) = (p for p in ALL if p.name == "watson-12")
    assert 2 * r.cost == pytest.approx(p.f_opt, rel=1e-5)
