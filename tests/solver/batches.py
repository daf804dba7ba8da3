"""A family of problems of two variables, and what tells whether a batch solves each as it is solved alone."""

import functools

import numpy as np
from scipy.optimize import Bounds

from rprop import minimize_batch, minimize_rprop

KEYS = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message")
PROBLEMS = 16
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


BOUNDS = {
    "shared": (np.array([-1.0, -np.inf]), np.array([0.5, 3.0])),
    "one number": (-0.7, np.inf),
    "per row": (-abs(starts(3)[0]), abs(starts(4)[0])),
    "one a row": (-2.0, starts(5)[1][:, None]),
}
