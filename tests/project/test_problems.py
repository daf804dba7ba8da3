"""The benchmark's problems are what they say: gradients, starts, published minima, instances."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize

problems = pytest.importorskip("benchmarks.problems")
pytest.importorskip("sklearn", reason="some of the data")
from benchmarks.problems import families, instances, large, others

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


LARGE = large.problems()
CHANGED = [p for kind in ("rotated", "scaled") for p in instances.problems(kind)]
MORE = {"argvalues": LARGE + CHANGED, "ids": [p.name for p in LARGE + CHANGED]}


def test_large_problems_are_large_and_have_names_of_their_own():
    assert all(300 <= p.n <= 10_000 for p in LARGE)
    names = [p.name for p in ALL + LARGE + CHANGED]
    assert len(names) == len(set(names))


@pytest.mark.skipif(not EXTENDED, reason="needs an extended longdouble")
@pytest.mark.parametrize("p", **MORE)
def test_gradient_along_a_random_direction(p):
    rng = np.random.default_rng(p.n)
    size = np.where(p.x0, abs(p.x0), 0.1)
    x = (p.x0 + 0.1 * size * rng.uniform(-1, 1, p.n)).astype(np.longdouble)
    d = 4 * size * rng.uniform(-1, 1, p.n)
    f, g = p.true(x)
    expected = derivative(lambda t: p.true(x + t[0] * d)[0], np.zeros(1, np.longdouble), 0)
    scale = abs(g) @ abs(d) / np.sqrt(p.n) + abs(f) * 1e-6
    assert abs(g @ d - expected) <= 1e-8 * scale


@pytest.mark.parametrize("kind", ["rotated", "scaled"])
def test_instances_have_the_values_of_the_problem_at_other_points(kind):
    """And every point of the problem is one of theirs: so minima are kept."""
    for p, instance in zip(instances.problems("as given"), instances.problems(kind), strict=True):
        rng = np.random.default_rng(0)
        there = instance.x0 + 0.1 * rng.uniform(-1, 1, p.n) * np.where(p.x0, abs(instance.x0), 0.1)
        seed = zlib.crc32(p.name.removeprefix("as given/").encode())
        if kind == "rotated":
            turn = families.rotation(p.n, seed)
            np.testing.assert_allclose(turn @ turn.T, np.eye(p.n), atol=1e-13)
            start, x = p.x0, p.x0 + turn @ (there - p.x0)
        else:
            units = 10 ** np.random.default_rng(seed).uniform(-2, 2, p.n)
            start, x = p.x0 * units, there / units
        np.testing.assert_array_equal(instance.x0, start)
        assert instance.true(there)[0] == pytest.approx(p.true(x)[0], rel=1e-12)


def test_householder_reflections_turn_space():
    formula = large.turned(large.spectrum(np.ones(400)), 400, seed=3)
    x = np.random.default_rng(0).standard_normal(400)
    f, g = formula(x)
    assert f == pytest.approx(x @ x / 2)
    np.testing.assert_allclose(g, x, rtol=1e-12)


def test_variables_that_share_no_residual_are_moved_together():
    def residuals(x):
        return np.array([x[0] * x[1], x[2] ** 2, 3.0, x[3] - x[0]])

    depends = others.dependence(residuals, np.ones(4))
    expected = [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    np.testing.assert_array_equal(depends, np.array(expected, bool))
    assert others.apart(depends) == [[0, 2], [1, 3]]
    f, g = others.sum_of_squares(residuals, np.ones(4))(np.array([2.0, 3, 1, 4]))
    assert f == 36 + 1 + 9 + 4
    np.testing.assert_allclose(g, [2 * (6 * 3 - 2), 2 * 6 * 2, 4, 2 * 2], rtol=1e-9)


#: Of optimagic's name, and of ours.
SHARED = {
    "rosenbrock_good_start": "rosenbrock-2",
    "helical_valley_good_start": "helical_valley-3",
    "bard_good_start": "bard-3",
    "meyer": "meyer-3",
    "kowalik_osborne": "kowalik_osborne-4",
    "brown_dennis_good_start": "brown_dennis-4",
    "box_3d": "box-3",
    "brown_almost_linear": "brown_almost_linear-10",
    "osborne_two_good_start": "osborne_2-11",
    "chebyquad_8": "chebyquad-8",
}


def test_differences_give_the_gradient_of_problems_by_others():
    """Both sides wrote the same function down, once without and once with its gradient."""
    pytest.importorskip("optimagic", reason="has the problems")
    theirs = {p.name: p for p in others.problems("more_wild")}
    own = {p.name: p for p in ALL}
    for name, same in SHARED.items():
        p, q = theirs[f"more_wild/{name}"], own[same]
        np.testing.assert_array_equal(p.x0, q.x0)
        x = q.x0 * (1 + 0.1 * np.random.default_rng(0).uniform(-1, 1, q.n))
        (f, g), (f_own, g_own) = p.fun(x), q.fun(x)
        assert f == pytest.approx(f_own, rel=1e-12)
        np.testing.assert_allclose(g, g_own, rtol=0, atol=1e-7 * abs(g_own).max())
