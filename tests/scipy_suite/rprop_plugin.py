"""A pytest plugin that adds `minimize_rprop` to the methods which SciPy's own tests loop over.

Two ways: tests parametrised over methods get "rprop" as one more; with the environment variable
``RPROP_AS=cg`` the method of that name *is* `minimize_rprop`, for tests that name a method.
"""

import os

import pytest
import scipy.optimize
from scipy.optimize import _minimize, _optimize

from rprop import minimize_rprop

NAME = os.environ.get("RPROP_AS", "rprop")
FIRST_ORDER = {"bfgs", "cg", "l-bfgs-b", "tnc"}

original = scipy.optimize.minimize


def minimize(fun, x0, args=(), method=None, *rest, **keywords):
    if isinstance(method, str) and method.lower() == NAME:
        method = minimize_rprop
    return original(fun, x0, args, method, *rest, **keywords)


for module in (scipy.optimize, _minimize, _optimize):
    if hasattr(module, "minimize"):
        module.minimize = minimize
if NAME == "rprop":
    _minimize.MINIMIZE_METHODS.append(NAME)
    _minimize.MINIMIZE_METHODS_NEW_CB.append(NAME)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    """Append "rprop" to every parametrisation over first-order methods."""
    if NAME != "rprop":
        return
    for mark in metafunc.definition.iter_markers("parametrize"):
        names, values = mark.args[:2]
        if names != "method" or not isinstance(values, (list, tuple)):
            continue
        known = {value.lower() for value in values if isinstance(value, str)}
        if known & FIRST_ORDER and NAME not in known and isinstance(values, list):
            values.append(NAME)
