"""A pytest plugin that runs SciPy's own tests of `scipy.optimize.minimize` with `minimize_rprop`.

Where a test loops over methods, "rprop" is the only one left; where it names one of SciPy's
first-order methods, or none, it gets `minimize_rprop` in its place. The summary tells how many
tests called it.
"""

import os
import sys

import pytest
import scipy.optimize
from scipy.optimize import _minimize

from rprop import minimize_rprop

FIRST_ORDER = {"bfgs", "cg", "l-bfgs-b", "tnc"}

BFGS = "about an option of BFGS"
FMIN = "calls the function behind a method, not minimize"
COUNT = "about how many evaluations a line search takes"
#: Tests, and classes of tests, that are deselected.
DOES_NOT_APPLY = {
    "TestOptimizeNoWrapperDisp": FMIN,
    "TestOptimizeNoWrapperNoDisp": FMIN,
    "test_bfgs": "looks at hess_inv, a result of BFGS alone",
    "test_bfgs_c1": BFGS,
    "test_bfgs_c2": BFGS,
    "test_bfgs_hess_inv0_neg": BFGS,
    "test_bfgs_hess_inv0_sanity": BFGS,
    "test_bfgs_hess_inv0_semipos": BFGS,
    "test_bfgs_infinite": "wants to end at a loss of -inf; rprop returns the lowest finite one",
    "test_bfgs_nan_return": "wants the NaN of a later point; rprop returns the best point",
    "test_bfgs_xrtol": BFGS,
    "test_cg": COUNT,
    "test_deprecated_local_search_options_bounds": "wants the warning that CG takes no bounds",
    "test_initial_step_scaling": COUNT,
    "test_invalid_c1_c2": BFGS,
    "test_l_bfgs_b_maxiter": "wants the words of a message of L-BFGS-B",
    "test_minimize_l_bfgs_b_ftol": "wants four different losses of four ftol; 18 iterations reach the minimum, before any",
    "test_minimize_l_bfgs_maxls": "about an option of L-BFGS-B",
    "test_minimizer_kwargs_bounds": "wants the warning that CG takes no bounds",
    "test_parallel_processes": "about the pool of processes of another solver; slow",
    "test_show_options": "show_options knows no methods of others",
}

original = scipy.optimize.minimize
callers = set()


def rprop(*args, **keywords):
    callers.add(os.environ["PYTEST_CURRENT_TEST"])
    return minimize_rprop(*args, **keywords)


def minimize(fun, x0, args=(), method=None, *rest, **keywords):
    named = str(method).lower() in {"rprop", *FIRST_ORDER}
    if named or (method is None and not keywords.get("constraints")):
        method = rprop
    return original(fun, x0, args, method, *rest, **keywords)


def pytest_configure(config):
    for name, module in list(sys.modules.items()):
        if name.startswith("scipy.optimize") and getattr(module, "minimize", None) is original:
            module.minimize = minimize
    for known in (_minimize.MINIMIZE_METHODS, _minimize.MINIMIZE_METHODS_NEW_CB):
        known[:] = ["rprop"]


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    parametrize = metafunc.parametrize

    def for_rprop(names, values, *args, **keywords):
        lower = {value.lower() for value in values if isinstance(value, str)}
        if names == "method" and lower & {"rprop", *FIRST_ORDER}:
            values = ["rprop"]
        return parametrize(names, values, *args, **keywords)

    metafunc.parametrize = for_rprop


def pytest_collection_modifyitems(config, items):
    def applies(item):
        return not {item.originalname, item.cls and item.cls.__name__} & DOES_NOT_APPLY.keys()

    config.hook.pytest_deselected(items=[item for item in items if not applies(item)])
    items[:] = filter(applies, items)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{len(callers)} tests called minimize_rprop")
