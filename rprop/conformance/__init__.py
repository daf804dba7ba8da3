"""Test vectors and a checker that tell any Rprop whether it is right.

In the test suite of a framework::

    from rprop.conformance import check

    check(MyStepper, variant="irprop-").assert_ok()
"""

from rprop.conformance.cases import Declined, load
from rprop.conformance.checker import check
from rprop.conformance.closed_loop import Replay, replay
from rprop.conformance.driven import driven
from rprop.conformance.exhaustive import Claim, exhaust
from rprop.conformance.identify import Identity, identify
from rprop.conformance.limits import Limits
from rprop.conformance.report import Failure, Report

__all__ = [
    "Claim",
    "Declined",
    "Failure",
    "Identity",
    "Limits",
    "Replay",
    "Report",
    "check",
    "driven",
    "exhaust",
    "identify",
    "load",
    "replay",
]
