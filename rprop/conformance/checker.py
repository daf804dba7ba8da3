"""Run an implementation over the vectors and report, flag by flag, where it leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rprop.conformance.cases import (
    Declined,
    MakeStepper,
    Stepper,
    array,
    examined,
    floats,
    known,
    load,
    made,
)
from rprop.conformance.diagnose import diagnosed, diagnosis, exact, rounded
from rprop.conformance.fitted import fitted, retold
from rprop.conformance.flags import FLAGS, minimum
from rprop.conformance.limits import NONE, Limits
from rprop.conformance.report import Failure, Report
from rprop.conformance.snippets import GENERIC, fill
from rprop.conformance.values import close, differing, show
from rprop.rule.state import Array
from rprop.rule.variants import VARIANTS

__all__ = ["DIAGNOSED", "Failure", "MakeStepper", "Report", "Stepper", "check", "load"]

#: Flags that no step bears: they are told from how a stepper leaves a case.
DIAGNOSED = ("parameters", "stale-update", "shape-dtype", "gradient-changed")


def check(
    make_stepper: MakeStepper,
    variant: str = "irprop-",
    *,
    ulps: int = 0,
    dtypes: Sequence[str] = ("float64", "float32", "float16"),
    cases: Iterable[dict[str, Any]] | None = None,
    limits: Limits | None = None,
) -> Report:
    """Check an implementation of Rprop against the vectors of a variant.

    Parameters
    ----------
    make_stepper : callable
        ``make_stepper(params, delta0, etas, step_sizes)`` returns an object with a method
        ``step(grads, loss)`` and an attribute `params`, an array of the shape and dtype of the
        initial `params`; and, where it has one, an attribute `delta`. It may have a method
        ``snippet(case, step)`` that returns code to reproduce a case.
    variant : str, optional
        The rule it should follow, a name in `VARIANTS`.
    ulps : int, optional
        By how many units in the last place of the expected value params and delta may differ:
        0 unless a framework fuses operations.
    dtypes : sequence of str, optional
        The dtypes to run.
    cases : iterable of dict, optional
        Cases to run in place of those that `load` returns.
    limits : Limits, optional
        What the implementation cannot be told, by default the attribute `limits` of
        `make_stepper` if it is a `Limits`. The cases are made to fit.

    Returns
    -------
    Report
        With `ok`, `failures`, `leading`, `causes`, `assert_ok` and a readable ``str``. An error
        that the stepper raises, a wrong shape or a NaN is a failure. A check that did not come to
        every flag of the minimum is not `ok`.

    Raises
    ------
    ValueError
        If the variant is unknown, no case is left, or a vector file is malformed.

    Examples
    --------
    Our own core, as any framework would wrap its Rprop:

    >>> from rprop import rprop_init, rprop_step
    >>> class Core:
    ...     def __init__(self, params, delta0, etas, step_sizes):
    ...         self.params, self.state = params, rprop_init(params, delta0)
    ...         self.settings = etas, step_sizes
    ...
    ...     def step(self, grads, loss):
    ...         self.params, self.state = rprop_step(self.params, grads, self.state, *self.settings)
    >>> check(Core, variant="irprop-").ok
    True
    """
    known(variant)
    if ulps < 0:
        raise ValueError(f"ulps must be at least 0; got {ulps!r}")
    if limits is None:
        limits = getattr(make_stepper, "limits", NONE)
        limits = limits if isinstance(limits, Limits) else NONE
    if not limits.loss and VARIANTS[variant].needs_loss:
        raise ValueError(
            f"variant must be one that needs no loss where limits.loss is False; got {variant!r}"
        )
    if cases is not None:
        everything = examined(cases, "cases")
    else:
        everything = load(variant) if limits == NONE else fitted(variant, limits)
    chosen = [case for case in everything if case["dtype"] in dtypes]
    if not chosen:
        raise ValueError(f"dtypes must leave one of the {len(everything)} cases; got {dtypes!r}")
    if limits.factor != 1:
        chosen = [retold(case, limits.factor) for case in chosen]
    flags, found, count = examine(make_stepper, chosen, ulps)
    declined = {f.case.split("/")[1]: f.actual for f in found if f.what == "declined"}
    found = [failure for failure in found if failure.what != "declined"]
    if declined:
        chosen = [case for case in chosen if case["dtype"] not in declined]
    uncovered = tuple(
        flag for flag in minimum(variant, limits) if not reached(flag, flags, found, chosen)
    )
    report = Report(
        variant,
        flags,
        [failure for failure in found if failure.verdict == "valid"],
        [failure for failure in found if failure.verdict != "valid"],
        count,
        uncovered=uncovered,
        declined=tuple(f"{dtype}: {reason}" for dtype, reason in declined.items()),
    )
    if found and found[-1].what != "no answer":
        return diagnosis(
            report, make_stepper, chosen, limits, lambda some: examine(make_stepper, some, ulps)
        )
    return with_flags(report)


def reached(
    flag: str, flags: dict[str, str], found: list[Failure], chosen: list[dict[str, Any]]
) -> bool:
    """Tell whether some step that bears a flag was run."""
    if flags[flag] != "not applicable" or any(flag in (f.flag, f.shown) for f in found):
        return True
    # A fault that came before hides it, and is reported itself.
    return bool(found) and any(flag in case["flags"] for case in chosen)


def with_flags(report: Report) -> Report:
    """Enter the failures among the flags."""
    flags = dict(report.flags)
    for some, result in ((report.tolerated, "acceptable"), (report.failures, "fail")):
        flags |= dict.fromkeys((failure.flag for failure in some), result)
    leading = report.failures[0].flag if report.failures else ""
    return Report(**{**vars(report), "flags": flags, "leading": leading})


def examine(
    make_stepper: MakeStepper, chosen: list[dict[str, Any]], ulps: int
) -> tuple[dict[str, str], list[Failure], int]:
    """Run cases; return the flags that were passed, the failures, and how many cases were run."""
    flags = dict.fromkeys(FLAGS, "not applicable")
    found: list[Failure] = []
    count = 0
    declined: dict[str, Failure] = {}
    for case in chosen:
        if case["dtype"] in declined:
            continue
        failures = run(make_stepper, case, ulps)
        if failures and failures[0].what == "declined":
            declined[case["dtype"]] = failures[0]
            continue
        count += 1
        left = [failure for failure in failures if failure.flag != "gradient-changed"]
        reached = left[0].step - 1 if left else len(case["steps"])
        for step in case["steps"][:reached]:
            flags[step["flag"]] = "pass"
        found += failures
        if left and left[0].what == "no answer":
            break  # every other case would hang as well
    if flags["first-step"] == "pass":
        flags |= dict.fromkeys(DIAGNOSED, "pass")
    return flags, found + list(declined.values()), count


def run(make_stepper: MakeStepper, case: dict[str, Any], ulps: int) -> list[Failure]:
    """Run one case; return the first step that differs, and whether it changes a gradient."""
    dtype = np.dtype(case["dtype"])
    stepper: Any = None
    step, was = 0, array(case, case["params"])
    wanted = was
    flag = case["steps"][0]["flag"]
    noted: list[Failure] = []

    def failure(
        what: str, expected: Any, actual: Any, numbers: Array | None = None, right: Any = None
    ) -> Failure:
        try:
            code = stepper.snippet(case, step)
        except Exception:  # noqa: BLE001, it has none, or none that works
            code = fill(GENERIC, case, step, make_stepper)
        verdict = "valid" if what == "no answer" else case["verdict"]
        shown = case["steps"][max(step, 1) - 1]["flag"]
        index, value = 0, float("nan")
        if numbers is not None and numbers.shape == right.shape:
            index = int((numbers != right).argmax())
            value = float(numbers.flat[index])
        return Failure(
            flag, case["id"], step, expected, actual, what, verdict, code, "", index, value, shown
        )

    try:
        stepper = made(make_stepper, case)
        given = was.copy()
        for step, expected in enumerate(case["steps"], 1):
            flag = expected["flag"]
            grads, wanted = array(case, expected["grads"]), array(case, expected["params"])
            given = given if flag == "reused-array" else grads.copy()
            given[...] = grads
            stepper.step(given, float.fromhex(expected["loss"]["hex"]))
            params = stepper.params
            actual = np.array(params)
            if isinstance(params, list | tuple):  # which has no dtype
                actual = actual.astype(dtype)
            if actual.shape != wanted.shape or actual.dtype != dtype:
                flag = "shape-dtype"
            elif not close(actual, wanted, ulps):
                if close(actual, was, ulps) and lags(make_stepper, case, ulps):
                    flag = "stale-update"  # one bug, not one at every step
                else:
                    hidden = getattr(stepper, "delta", None) is None
                    flag = diagnosed(case, step, was, actual, hidden)
            if not close(actual, wanted, ulps):
                return [failure(*differing("params", wanted, actual), actual, wanted), *noted]
            if given.tobytes() != grads.tobytes() and not noted:
                flag = "gradient-changed"  # and on with a copy
                noted.append(failure(*differing("grads", grads, given)))
                flag = expected["flag"]
            delta = getattr(stepper, "delta", None)
            if delta is not None and expected["delta"]:
                actual = np.array(delta)
                should = np.array(floats(expected["delta"], case["repeat"]), actual.dtype)
                if not close(actual, should, ulps):
                    if not exact(case) and rounded(actual, should, case["dtype"]):
                        flag = "rounding"
                    return [failure(*differing("delta", should, actual), actual, should), *noted]
            was = wanted
    except Declined as reason:
        flag = "declined"
        return [failure("declined", show(wanted), str(reason))]
    except TimeoutError as error:
        return [failure("no answer", show(wanted), f"{type(error).__name__}: {error}"), *noted]
    except (Exception, SystemExit) as error:  # noqa: BLE001, whatever it raises is a finding
        return [failure("error", show(wanted), f"{type(error).__name__}: {error}"), *noted]
    return noted


def lags(make_stepper: MakeStepper, case: dict[str, Any], ulps: int) -> bool:
    """Tell whether the second step of the simplest case brings what the first should have."""
    simple = next(c for c in load(case["variant"]) if c["dtype"] == case["dtype"])
    simple = {**simple, **{name: case[name] for name in ("delta0", "etas", "step_sizes")}}
    repeat = case["repeat"] * len(case["params"]["hex"])
    start = np.zeros(repeat, case["dtype"])
    first = start - np.dtype(case["dtype"]).type(float.fromhex(case["delta0"]["hex"]))
    stepper, seen = made(make_stepper, {**simple, "repeat": repeat}), []
    for line in simple["steps"]:
        grads = np.array(floats(line["grads"], repeat), case["dtype"])
        stepper.step(grads, float.fromhex(line["loss"]["hex"]))
        seen.append(np.array(stepper.params))
    return close(seen[0], start, ulps) and close(seen[1], first, ulps)
