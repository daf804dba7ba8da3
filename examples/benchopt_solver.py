"""A solver file for benchopt, for benchmarks whose objective hands `fun` and `x0` to its solvers.

Put it into the folder ``solvers`` of a benchmark and adapt `set_objective` to what the
benchmark's objective gives.
"""

from benchopt import BaseSolver
from scipy.optimize import minimize

from rprop import minimize_rprop


class Solver(BaseSolver):
    """Rprop, stopped by benchopt after a number of iterations."""

    name = "rprop"
    requirements = ["pip::rprop"]  # noqa: RUF012
    parameters = {"variant": ["irprop+", "irprop-"]}  # noqa: RUF012
    sampling_strategy = "iteration"

    def set_objective(self, fun, x0):
        """Take the problem: `fun` returns value and gradient."""
        self.fun, self.x0 = fun, x0

    def run(self, n_iter):
        """Iterate so often, from the start."""
        options = {"maxiter": n_iter, "gtol": 0, "xtol": 0, "variant": self.variant}
        self.x = minimize(self.fun, self.x0, jac=True, method=minimize_rprop, options=options).x

    def get_result(self):
        """Return the point reached."""
        return {"x": self.x}
