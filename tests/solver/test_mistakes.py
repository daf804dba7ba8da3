"""Typical mistakes in a call of the solver get an error that says what to do next."""

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning, minimize, rosen, rosen_der

from rprop import minimize_batch, minimize_rprop


def both(x):
    return rosen(x), rosen_der(x)


def call(fun=both, x0=(1.0, 2.0), jac=True, **given):
    return lambda: minimize_rprop(fun, x0, jac=jac, **given)


MISTAKES = {
    "jac forgotten": (call(jac=None), ValueError, "pass jac=True where fun returns"),
    "a list of both": (call(lambda x: [*both(x)], jac=None), ValueError, "pass jac=True"),
    "jac=True without": (call(rosen), ValueError, "Pass jac=None where fun returns the loss alone"),
    "bounds as arrays": (
        call(x0=[1.0] * 3, bounds=([0, 0, 0], [5, 5, 5])),
        ValueError,
        r"bounds must be 3 pairs \(low, high\), or a scipy.optimize.Bounds; got 2",
    ),
    "bounds of text": (call(bounds=[("a", 1), (0, 1)]), TypeError, "bounds must hold numbers or"),
    "bounds of numbers": (call(bounds=[0, 1]), ValueError, r"bounds must be pairs \(low, high\)"),
    "bounds reversed": (call(bounds=[(1, 0), (0, 1)]), ValueError, "upper bound is less"),
    "etas reversed": (call(etas=(1.2, 0.5)), ValueError, r"other way round, \(0.5, 1.2\)\?"),
    "text": (call(gtol="1e-3"), TypeError, "gtol must be a number; got '1e-3'"),
    "NaN": (call(xtol=np.nan), ValueError, "xtol must be a number; got nan"),
    "bool": (call(maxiter=True), TypeError, "maxiter must be a number; got True"),
    "array": (call(ftol=[1e-3, 1e-3]), TypeError, r"ftol must be a number; got \[0.001, 0.001\]"),
    "negative": (call(maxfev=-1), ValueError, "maxfev must be a number that is not negative"),
    "x0 of two axes": (call(x0=np.ones((2, 2))), ValueError, "x0 must have one dimension"),
    "no x0": (call(x0=None), TypeError, "x0 must be an array of numbers where no state is given"),
    "x0 of text": (call(x0="abc"), TypeError, "x0 must be an array of numbers"),
    "ragged x0": (call(x0=[[1.0, 2.0], [3.0]]), ValueError, "x0 must be an array of numbers"),
    "fun no function": (call(3.0), TypeError, "fun must be callable; got 3.0"),
    "variant": (call(variant="iRprop"), ValueError, "variant must be one of 'rprop-', 'irprop-'"),
    "short gradient": (
        call(lambda x: (rosen(x), rosen_der(x)[:1])), ValueError,
        r"gradient must have the shape of x0, \(2,\); got shape \(1,\)",
    ),
    "both of one variable": (call(lambda x: (1.0, 2.0), [0.5], None), ValueError, "pass jac=True"),
    "two losses": (call(lambda x: x**2, jac=None), ValueError, r"got shape \(2,\)$"),
    "three": (call(lambda x: (1.0, 2.0, 3.0), jac=None), ValueError, r"got shape \(3,\)$"),
    "vector of losses": (call(lambda x: (x**2, 2 * x)), ValueError, "must return a scalar value"),
    "nothing returned": (call(lambda x: None, jac=None), TypeError, "loss must be a real number"),
    "delta0": (call(delta0=[0.1] * 3), ValueError, r"delta0 must broadcast against params of shape"),
    "delta0=True": (call(delta0=True), ValueError, "delta0 must be 'auto' or positive numbers"),
    "one limit": (call(step_sizes=0.1), TypeError, r"step_sizes must be a pair \(Δmin, Δmax\)"),
    "callback": (call(callback=3), TypeError, "callback must be callable or None; got 3"),
    "workers": (call(rosen, jac=None, workers="two"), ValueError, "workers must be a positive number"),
    "a batch of one": (
        lambda: minimize_batch(lambda X: (X.sum(axis=1), X), [1.0, 2.0]),
        ValueError, r"X0 must hold at least one problem in an array of shape \(m, n\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    mistake, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        mistake()


def test_through_scipy_they_are_the_same():
    with pytest.raises(ValueError, match="Pass jac=None where fun returns the loss alone"):
        minimize(rosen, [1.0, 2.0], jac=True, method=minimize_rprop)


def test_a_gradient_of_ones_own_beside_scipys_wrapper():
    private = pytest.importorskip("scipy.optimize._optimize", reason="SciPy may move it")
    if not hasattr(private, "MemoizeJac"):
        pytest.skip("SciPy may rename it")
    calls = []
    fun = private.MemoizeJac(both)
    minimize_rprop(fun, [1.0, 2.0], jac=lambda x: calls.append(x) or rosen_der(x))
    assert calls


@pytest.mark.parametrize(
    ("given", "meant"),
    [("maxfun", "maxfev"), ("lr", "delta0"), ("max_iter", "maxiter"), ("gtoll", "gtol")],
)
def test_options_of_other_methods(given, meant):
    with pytest.warns(OptimizeWarning, match=rf"options: {given} \(did you mean {meant}\?\)"):
        minimize(both, [1.0, 2.0], jac=True, method=minimize_rprop, options={given: 5})


def test_tensors_that_require_grad():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x0 = torch.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match=r"x0 must be an array of numbers; got Tensor.*detach"):
        minimize_rprop(both, x0, jac=True)
    with pytest.raises(TypeError, match=r"the loss must be numbers; got Tensor.*detach"):
        minimize_rprop(lambda x: (x0**2).sum(), [1.0, 2.0])


def test_a_complex_start():
    """The real part is taken, and a warning says so."""
    expected = minimize_rprop(both, [-1.2, 1.0], jac=True)
    with pytest.warns(RuntimeWarning, match="x0 is complex; its imaginary part is discarded"):
        found = minimize_rprop(both, [-1.2 + 3j, 1.0], jac=True)
    np.testing.assert_array_equal(found.x, expected.x)
    assert found.nfev == expected.nfev
