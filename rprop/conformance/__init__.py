"""Test vectors and a checker that tell any Rprop whether it is right.

In the test suite of a framework::

    from rprop.conformance import check

    check(MyStepper, variant="irprop-").assert_ok()
"""

from rprop.conformance.checker import Failure, Report, check, load
from rprop.conformance.identify import Identity, identify

__all__ = ["Failure", "Identity", "Report", "check", "identify", "load"]
