"""Run an implementation over the vectors and report, flag by flag, where it leaves them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rprop.conformance.exact import FORMATS
from rprop.conformance.flags import FLAGS
from rprop.conformance.snippets import GENERIC, fill
from rprop.rule.checks import row
from rprop.rule.state import Array
from rprop.rule.variants import VARIANTS

__all__ = ["Failure", "MakeStepper", "Report", "Stepper", "check", "load"]

FOLDER = Path(__file__).parent / "vectors"
#: Flags that no step bears: they are told from how a stepper leaves a case.
DIAGNOSED = ("stale-update", "shape-dtype", "gradient-changed")
#: A move that is off by less, relative to its length, follows the rule in other arithmetic.
ROUNDING = {"float64": 6e-4, "float32": 6e-4, "float16": 1e-2}
SHORT = 6  # entries that a report shows


class Stepper(Protocol):
    """An Rprop, one step at a time; it may have an attribute `delta` as well."""

    @property
    def params(self) -> Any:
        """The parameters after the last step."""

    def step(self, grads: Array, loss: float) -> Any:
        """Take a step, given the gradient and the loss at `params`."""


MakeStepper = Callable[[Array, float, tuple[float, float], tuple[float, float]], Stepper]


@dataclass(frozen=True)
class Failure:
    """The first step of a case at which an implementation differs."""

    flag: str
    case: str
    step: int  # counted from 1; 0 where the stepper could not be made
    expected: Any
    actual: Any
    what: str  # "params", "delta" or "error"
    verdict: str
    snippet: str = field(repr=False, default="")

    def __str__(self) -> str:
        return (
            f"{self.flag}: {self.case}, step {self.step}: {self.what} should be "
            f"{self.expected}, got {self.actual}"
        )


@dataclass(frozen=True)
class Report:
    """What came of a check.

    Attributes
    ----------
    variant : str
        The rule that was expected.
    flags : dict
        "pass", "fail", "acceptable" or "not applicable" for every flag.
    failures : list of Failure
        One for every case of verdict "valid" that an implementation left.
    tolerated : list of Failure
        The same for cases where the papers are silent.
    count : int
        How many cases were run.
    """

    variant: str
    flags: dict[str, str]
    failures: list[Failure]
    tolerated: list[Failure]
    count: int

    @property
    def ok(self) -> bool:
        """Whether the implementation conforms."""
        return self.count > 0 and not self.failures

    def assert_ok(self) -> None:
        """Raise an AssertionError that holds the report unless the implementation conforms."""
        if not self.ok:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        width = max(map(len, self.flags))
        first = {failure.flag: failure for failure in [*self.failures, *self.tolerated][::-1]}
        lines = [f"{'flag'.ljust(width)}  result"]
        errors = set()
        for flag, result in self.flags.items():
            lines.append(f"{flag.ljust(width)}  {result}")
            if flag in first and result != "pass":
                failure = first[flag]
                if failure.what == "error" and failure.actual in errors:
                    continue  # said above
                errors.add(failure.actual)
                lines += [
                    f"    {FLAGS[flag].description}",
                    f"    {failure.case}, first at step {failure.step}",
                    f"    {failure.what} expected {failure.expected}",
                    f"    {' ' * len(failure.what)} actual   {failure.actual}",
                ]
        verdict = "conforms to" if self.ok else "does not conform to"
        lines.append(f"\n{verdict} {self.variant}: {len(self.failures)} of {self.count} cases fail")
        if self.failures and self.failures[-1].what == "no answer":
            lines[-1] += "; the others were not run"
        if self.failures:
            lines += ["\nTo reproduce the first of them:\n", self.failures[0].snippet]
        return "\n".join(lines)


def check(
    make_stepper: MakeStepper,
    variant: str = "irprop-",
    *,
    ulps: int = 0,
    dtypes: Sequence[str] = ("float64", "float32", "float16"),
    cases: Iterable[dict[str, Any]] | None = None,
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

    Returns
    -------
    Report
        With `ok`, `failures`, `assert_ok` and a readable ``str``. An error that the stepper
        raises, a wrong shape or a NaN is a failure.

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
    ...         self.limits = etas, step_sizes
    ...
    ...     def step(self, grads, loss):
    ...         self.params, self.state = rprop_step(self.params, grads, self.state, *self.limits)
    >>> check(Core, variant="irprop-").ok
    True
    """
    known(variant)
    if ulps < 0:
        raise ValueError(f"ulps must be at least 0; got {ulps!r}")
    everything = load(variant) if cases is None else examined(cases, "cases")
    chosen = [case for case in everything if case["dtype"] in dtypes]
    if not chosen:
        raise ValueError(f"dtypes must leave one of the {len(everything)} cases; got {dtypes!r}")
    flags = dict.fromkeys(FLAGS, "not applicable")
    found, count = [], 0
    for count, case in enumerate(chosen, 1):  # noqa: B007
        failure = run(make_stepper, case, ulps)
        reached = failure.step - 1 if failure else len(case["steps"])
        for step in case["steps"][:reached]:
            if flags[step["flag"]] == "not applicable":
                flags[step["flag"]] = "pass"
        if failure:
            found.append(failure)
            if failure.what == "no answer":
                break  # every other case would hang as well
    if flags["first-step"] == "pass":
        flags |= dict.fromkeys(DIAGNOSED, "pass")
    failures = [failure for failure in found if failure.verdict == "valid"]
    tolerated = [failure for failure in found if failure.verdict != "valid"]
    for some, result in ((tolerated, "acceptable"), (failures, "fail")):
        flags |= dict.fromkeys((failure.flag for failure in some), result)
    return Report(variant, flags, failures, tolerated, count)


@cache
def load(source: str | Path) -> list[dict[str, Any]]:
    """Read test vectors.

    Parameters
    ----------
    source : str or Path
        A name in `VARIANTS`, for the vectors of this package; or the path of a file.

    Returns
    -------
    list of dict
        One for each case, as the schema beside the files describes them.

    Raises
    ------
    ValueError
        If the variant is unknown, or the file is malformed; then the case and the step are named.
    OSError
        If there is no such file.
    """
    if not isinstance(source, Path):
        name = known(source).replace("+", "_plus").replace("-", "_minus")
        source = FOLDER / f"{name}.json"
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
        cases: list[dict[str, Any]] = document["cases"]
        if len(cases) != document["count"]:
            raise ValueError(f"{len(cases)} cases where count says {document['count']}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source.name} must be a file of test vectors: {error!r}") from error
    return examined(cases, source.name)


def known(variant: str) -> str:
    """Return the name of a variant that has vectors."""
    if variant not in VARIANTS:
        row(variant)  # raises
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}")
    return variant


def examined(cases: Iterable[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    """Return the cases, or say which of them cannot be run."""
    result: list[dict[str, Any]] = []
    where = "the first case"
    try:
        for case in cases:
            where = f"case {case['id']}"
            sizes = {len(floats(case["params"]))}
            known(case["variant"])
            if case["verdict"] not in ("valid", "acceptable") or case["dtype"] not in FORMATS:
                raise ValueError(f"verdict {case['verdict']!r}, dtype {case['dtype']!r}")
            if [len(floats(case[pair])) for pair in ("etas", "step_sizes")] != [2, 2]:
                raise ValueError("etas and step_sizes must be pairs")
            float.fromhex(case["delta0"]["hex"])
            if not case["steps"] or case["repeat"] < 1:
                raise ValueError("nothing to run")
            for i, step in enumerate(case["steps"], 1):
                where = f"case {case['id']}, step {i}"
                float.fromhex(step["loss"]["hex"])
                sizes |= {len(floats(step[name])) for name in ("grads", "params", "delta")}
                if len(sizes) != 1 or step["flag"] not in FLAGS:
                    raise ValueError(f"sizes {sizes}, flag {step['flag']!r}")
            where = f"the case after {case['id']}"
            result.append(case)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source} must hold test vectors; {where}: {error!r}") from error
    return result


def floats(numbers: dict[str, list[str]], repeat: int = 1) -> list[float]:
    """Read numbers from their hexadecimal form."""
    return [float.fromhex(number) for number in numbers["hex"]] * repeat


def array(case: dict[str, Any], numbers: dict[str, list[str]]) -> Array:
    """Read an array of a case."""
    return np.array(floats(numbers, case["repeat"]), case["dtype"])


def made(make_stepper: MakeStepper, case: dict[str, Any]) -> Any:
    """Make the stepper of a case."""
    eta_minus, eta_plus = floats(case["etas"])
    low, high = floats(case["step_sizes"])
    delta0 = float.fromhex(case["delta0"]["hex"])
    return make_stepper(array(case, case["params"]), delta0, (eta_minus, eta_plus), (low, high))


def run(make_stepper: MakeStepper, case: dict[str, Any], ulps: int) -> Failure | None:
    """Run one case; return the first step that differs."""
    dtype = np.dtype(case["dtype"])
    stepper: Any = None
    step, was = 0, array(case, case["params"])
    wanted = was
    flag = case["steps"][0]["flag"]

    def failure(what: str, expected: Any, actual: Any) -> Failure:
        try:
            code = stepper.snippet(case, step)
        except Exception:  # noqa: BLE001, it has none, or none that works
            code = fill(GENERIC, case, step, make_stepper)
        verdict = "valid" if what == "no answer" else case["verdict"]
        return Failure(flag, case["id"], step, expected, actual, what, verdict, code)

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
                return failure(*differing("params", wanted, actual))
            if given.tobytes() != grads.tobytes():
                flag = "gradient-changed"
                return failure(*differing("grads", grads, given))
            delta = getattr(stepper, "delta", None)
            if delta is not None and expected["delta"]:
                actual = np.array(delta)
                should = np.array(floats(expected["delta"], case["repeat"]), actual.dtype)
                if not close(actual, should, ulps):
                    return failure(*differing("delta", should, actual))
            was = wanted
    except TimeoutError as error:
        return failure("no answer", show(wanted), f"{type(error).__name__}: {error}")
    except (Exception, SystemExit) as error:  # noqa: BLE001, whatever it raises is a finding
        return failure("error", show(wanted), f"{type(error).__name__}: {error}")
    return None


def diagnosed(case: dict[str, Any], step: int, was: Array, actual: Array, hidden: bool) -> str:
    """Name the bug: the flag of the step, unless the numbers tell more."""
    flags = ["", *(line["flag"] for line in case["steps"])]
    line = case["steps"][step - 1]
    wanted = np.array(floats(line["params"], case["repeat"]))
    with np.errstate(all="ignore"):
        right, wrong = wanted - was.astype(float), actual.astype(float) - was.astype(float)
        if (np.abs(wrong - right) <= ROUNDING[case["dtype"]] * np.abs(right)).all():
            return "rounding"
        i = int((wrong != right).argmax())
        length = wrong[i] / right[i] if right[i] else np.inf
    eta_minus, eta_plus = floats(case["etas"])
    delta = floats(line["delta"], case["repeat"])[i]
    undoes = case["variant"].endswith("+") and flags[step] in ("sign-flip", "loss-rose")
    if undoes and length > 0 and abs(wrong[i]) != delta:
        return "undo-length"
    after = hidden and flags[step] in ("after-flip", "undo-after-undo")
    if after and length > 0 and length not in (eta_minus, eta_plus):
        return flags[step - 1]  # the step size was wrong already
    return flags[step]


def lags(make_stepper: MakeStepper, case: dict[str, Any], ulps: int) -> bool:
    """Tell whether the second step of the simplest case brings what the first should have."""
    simple = next(c for c in load(case["variant"]) if c["dtype"] == case["dtype"])
    start, first = array(simple, simple["params"]), array(simple, simple["steps"][0]["params"])
    stepper, seen = made(make_stepper, simple), []
    for line in simple["steps"]:
        stepper.step(array(simple, line["grads"]), float.fromhex(line["loss"]["hex"]))
        seen.append(np.array(stepper.params))
    return close(seen[0], start, ulps) and close(seen[1], first, ulps)


def close(actual: Array, expected: Array, ulps: int) -> bool:
    """Compare values of one dtype; +0 and -0 are one value, NaN equals nothing expected."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if not ulps:
        return bool((actual == expected).all())
    gap = np.abs(actual.astype(float) - expected.astype(float))
    return bool((gap <= ulps * np.spacing(np.abs(expected)).astype(float)).all())


def differing(what: str, expected: Array, actual: Array) -> tuple[str, str, str]:
    """Say what differs: all of a short array, one entry of a long one."""
    if expected.size <= SHORT or actual.shape != expected.shape or actual.dtype != expected.dtype:
        return what, show(expected), show(actual)
    i = int((actual != expected).argmax())
    return f"{what}[{i}]", show(expected[i : i + 1]), show(actual[i : i + 1])


def show(values: Array) -> str:
    """Write an array so that nothing is rounded away."""
    text = f"{values.tolist()!r}" if values.size <= SHORT else "an array"
    dtype = "" if values.dtype == np.float64 else f" {values.dtype}"
    return f"{text}{dtype}{'' if values.ndim == 1 else f' of shape {values.shape}'}"
