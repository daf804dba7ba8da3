"""Rprop as an algorithm of optimagic: ``optimagic.minimize(fun, params, algorithm=Rprop)``."""

from dataclasses import dataclass

import numpy as np
from optimagic import mark
from optimagic.optimization.algorithm import Algorithm, InternalOptimizeResult
from optimagic.typing import AggregationLevel

from rprop import minimize_rprop


@mark.minimizer(
    name="rprop",
    solver_type=AggregationLevel.SCALAR,
    is_available=True,
    is_global=False,
    needs_jac=True,
    needs_hess=False,
    needs_bounds=False,
    supports_parallelism=False,
    supports_bounds=True,
    supports_infinite_bounds=True,
    supports_linear_constraints=False,
    supports_nonlinear_constraints=False,
    disable_history=False,
)
@dataclass(frozen=True)
class Rprop(Algorithm):
    """Minimize a differentiable function by resilient backpropagation."""

    convergence_gtol_abs: float = 1e-5
    stopping_maxiter: int = 10_000
    stopping_maxfun: int = 100_000

    def _solve_internal_problem(self, problem, x0):
        bounds = problem.bounds
        low = np.full(len(x0), -np.inf) if bounds.lower is None else bounds.lower
        high = np.full(len(x0), np.inf) if bounds.upper is None else bounds.upper
        result = minimize_rprop(
            problem.fun_and_jac,
            x0,
            jac=True,
            bounds=list(zip(low, high, strict=True)),
            gtol=self.convergence_gtol_abs,
            maxiter=self.stopping_maxiter,
            maxfev=self.stopping_maxfun,
        )
        return InternalOptimizeResult(
            x=result.x,
            fun=result.fun,
            jac=result.jac,
            success=result.success,
            message=result.message,
            status=result.status,
            n_fun_evals=result.nfev,
            n_jac_evals=result.njev,
            n_iterations=result.nit,
        )
