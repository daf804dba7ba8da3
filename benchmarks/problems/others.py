"""Problems by others: the sets of Moré and Wild and of Cartis and Roberts, as optimagic has them.

These are sums of squared residuals without derivatives. Gradients are central differences of the
residuals, in which variables that share no residual are moved at once. To a solver they are
gradients like any other: the residuals that they take are not counted.

References
----------
.. [1] J. J. Moré, S. M. Wild, "Benchmarking derivative-free optimization algorithms", SIAM
       Journal on Optimization 20, 2009, 172-191.
.. [2] C. Cartis, L. Roberts, "A derivative-free Gauss-Newton method", Mathematical Programming
       Computation 11, 2019, 631-674.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.problems.problem import Formula, Problem

SETS = ("more_wild", "cartis_roberts")
#: Left out: their loops in Python, n at a time, take a tenth of a second or more for a gradient.
SLOW = ["chandheq", "integreq", "msqrta", "msqrtb"]

Residuals = Callable[[np.ndarray], np.ndarray]


def dependence(residuals: Residuals, x: np.ndarray) -> np.ndarray:
    """Return the matrix that says which residual (row) depends on which variable (column)."""
    spoilt = np.where(np.eye(x.size, dtype=bool), np.nan, x)
    return np.isnan([residuals(row) for row in spoilt]).T


def apart(depends: np.ndarray) -> list[list[int]]:
    """Group variables that share no residual, each put where it first fits."""
    groups: list[list[int]] = []
    for i, column in enumerate(depends.T):
        fitting = (g for g in groups if not (depends[:, g].any(axis=1) & column).any())
        group = next(fitting, None)
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    return groups


def sum_of_squares(residuals: Residuals, x0: np.ndarray) -> Formula:
    """Return the sum of squares with its gradient, 2 Jᵀr, by central differences for J."""
    depends = dependence(residuals, x0)
    groups = apart(depends)
    relative = np.cbrt(np.finfo(float).eps)

    def formula(x):
        r, g = residuals(x), np.empty_like(x)
        h = relative * np.maximum(abs(x), 1)
        for group in groups:
            ahead, behind = x.copy(), x.copy()
            ahead[group] += h[group]
            behind[group] -= h[group]
            change = residuals(ahead) - residuals(behind)
            width = ahead[group] - behind[group]
            g[group] = 2 * (r * change) @ depends[:, group] / width
        return r @ r, g

    return formula


def problems(name: str) -> list[Problem]:
    """Return the problems of one of the `SETS`, named ``set/problem``."""
    from optimagic.benchmarking.get_benchmark_problems import get_benchmark_problems

    found = []
    for key, given in get_benchmark_problems(name, exclude=SLOW).items():
        x0 = np.array(given["inputs"]["params"], float)
        formula = sum_of_squares(given["noise_free_fun"], x0)
        f_opt = given["solution"]["value"]  # None where it is not known
        found.append(Problem(f"{name}/{key}", formula, x0, f_opt=f_opt, family=name))
    return found
