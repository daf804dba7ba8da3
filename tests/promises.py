"""What must hold in any Python, without a test runner: `python -O -W error tests/promises.py`.

Assertions mean nothing under ``-O``, neither here nor in the program: so nothing here uses them.
"""

import pickle
import sys

import numpy as np
from scipy.optimize import minimize, rosen, rosen_der

import rprop
from rprop.rule.reference import RULES


def must(holds, what):
    if not holds:
        sys.exit(f"broken: {what}")


def main():
    grads = np.array([1.0, 1.0, -1.0, 0.0, -1.0, np.nan, 2.0])
    for name, rule in RULES.items():
        params, state, own = np.zeros(1), rprop.rprop_init([0.0], 0.5), (0.0, 0.5, 0, 0.0)
        for g, loss, risen in zip(grads, [3, 2, 4, 4, 1, 2, 2], [0, 0, 1, 0, 0, 1, 0], strict=True):
            params, state = rprop.rprop_step(params, [g], state, variant=name, loss=loss)
            own = rule(*own[:1], g, *own[1:], (0.5, 1.2), (1e-6, 50.0), bool(risen))
            must((params[0], state.delta[0], state.prev_sign[0]) == own[:3], name)
    for options in ({}, {"basis": None}, {"safeguard": "armijo"}, {"maxiter": 5}):
        result = minimize(
            rosen, [-1.2, 1.0], jac=rosen_der, method=rprop.minimize_rprop, options=options
        )
        must(result.success == ("maxiter" not in options), result.message)
        state = pickle.loads(pickle.dumps(result.state))
        again = rprop.minimize_rprop(rosen, None, jac=rosen_der, state=state)
        must(again.fun <= result.fun, "going on")
    many = rprop.minimize_batch(lambda x: ((x**2).sum(1), 2 * x), np.ones((3, 2)))
    must(many.success.all(), "a batch")
    for wrong in ({"etas": (2, 1)}, {"maxfev": -1}, {"bounds": [(1, 0), (0, 1)]}):
        try:
            rprop.minimize_rprop(rosen, [0.0, 0.0], jac=rosen_der, **wrong)
        except (TypeError, ValueError) as error:
            must("must" in str(error) or "bound" in str(error), error)
        else:
            must(False, wrong)
    print(f"all held with Python {sys.version.split()[0]}, NumPy {np.__version__}")


if __name__ == "__main__":
    main()
