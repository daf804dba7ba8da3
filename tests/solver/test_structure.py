"""Minimising over trees is minimising over one vector."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from rprop import minimize_rprop

TREE = {"a": np.array([[-1.2, 1.0], [0.5, -0.3]]), "b": [0.7, np.array([2.0])]}
FLAT = np.array([-1.2, 1.0, 0.5, -0.3, 0.7, 2.0])


@dataclass
class Pair:
    a: Any
    b: Any


def flat(tree):
    return np.concatenate([np.ravel(tree["a"]), np.ravel(tree["b"][0]), tree["b"][1]])


def tree(x):
    return {"a": x[:4].reshape(2, 2), "b": [x[4].reshape(()), x[5:]]}


def loss(x):
    return rosen(flat(x))


def slopes(x):
    return tree(rosen_der(flat(x)))


@pytest.mark.parametrize("form", ["both", "list of both", "apart", "differences"])
def test_a_tree_is_a_vector(form):
    seen = []
    options = {"maxiter": 60, "return_all": True, "callback": seen.append}
    if form == "both":
        found = minimize_rprop(lambda x: (loss(x), slopes(x)), TREE, jac=True, **options)
    elif form == "list of both":
        found = minimize_rprop(lambda x: [loss(x), slopes(x)], TREE, jac=True, **options)
    else:
        jac = slopes if form == "apart" else None
        found = minimize_rprop(loss, TREE, jac=jac, **options)
    jac = None if form == "differences" else rosen_der
    plain = minimize_rprop(rosen, FLAT, jac=jac, maxiter=60, return_all=True)
    assert flat(found.x).tobytes() == plain.x.tobytes()
    np.testing.assert_array_equal(flat(found.jac), plain.jac)
    assert (found.fun, found.nfev, found.status) == (plain.fun, plain.nfev, plain.status)
    for ours, theirs in zip(found.allvecs, plain.allvecs, strict=True):
        np.testing.assert_array_equal(flat(ours), theirs)
    np.testing.assert_array_equal(flat(seen[-1]), plain.x)


def test_a_dataclass_stays_one():
    def fun(p):
        gradient = Pair(2 * (p.a - 1), 4 * (p.b - 2) ** 3)
        return float(((p.a - 1) ** 2).sum() + (p.b - 2) ** 4), gradient

    result = minimize_rprop(fun, Pair(np.zeros((2, 1)), 0.5), jac=True)
    assert isinstance(result.x, Pair)
    np.testing.assert_allclose(result.x.a, np.ones((2, 1)), atol=1e-6)
    assert result.success


def test_a_gradient_of_another_structure_is_named():
    with pytest.raises(ValueError, match="the gradient must have the structure of params"):
        minimize_rprop(loss, TREE, jac=lambda x: {"a": x["a"]})
    with pytest.raises(ValueError, match="the gradient must have the shapes of x0"):
        minimize_rprop(loss, TREE, jac=lambda x: {"a": np.zeros(4), "b": [0.0, np.zeros(1)]})


@pytest.mark.parametrize(
    ("value", "jac", "advice"),
    [
        (1.0, True, "Pass jac=None where fun returns the loss alone"),
        ((1.0, TREE, TREE), True, r"fun must return \(loss, gradient\) with jac=True"),
        ((1.0, TREE), None, "pass jac=True where fun returns"),
    ],
)
def test_mistakes_get_the_advice_that_vectors_get(value, jac, advice):
    with pytest.raises(ValueError, match=advice):
        minimize_rprop(lambda x: value, TREE, jac=jac)


def test_an_exception_carries_a_tree():
    def fun(x):
        if loss(x) < 5:
            raise KeyboardInterrupt
        return loss(x), slopes(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        minimize_rprop(fun, TREE, jac=True)
    assert set(caught.value.result.x) == {"a", "b"}
