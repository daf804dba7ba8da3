"""Run an implementation over the vectors and report, flag by flag, where it leaves them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rprop.checks import row
from rprop.conformance.flags import FLAGS
from rprop.variants import VARIANTS

__all__ = ["Failure", "MakeStepper", "Report", "Stepper", "check", "load"]

Array = NDArray[Any]
FOLDER = Path(__file__).parent / "vectors"


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
        for flag, result in self.flags.items():
            lines.append(f"{flag.ljust(width)}  {result}")
            if flag in first and result != "pass":
                failure = first[flag]
                lines += [
                    f"    {failure.case}, first at step {failure.step}",
                    f"    {failure.what} expected {failure.expected}",
                    f"    {' ' * len(failure.what)} actual   {failure.actual}",
                ]
        verdict = "conforms to" if self.ok else "does not conform to"
        lines.append(f"\n{verdict} {self.variant}: {len(self.failures)} of {self.count} cases fail")
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
    if variant not in VARIANTS:
        row(variant)  # raises
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}")
    chosen = [c for c in (load(variant) if cases is None else cases) if c["dtype"] in dtypes]
    if not chosen:
        raise ValueError(f"dtypes must leave a case to run; got {dtypes!r}")
    flags = dict.fromkeys(FLAGS, "not applicable")
    found = []
    for case in chosen:
        failure = run(make_stepper, case, ulps)
        reached = failure.step if failure else len(case["steps"])
        for step in case["steps"][:reached]:
            if flags[step["flag"]] == "not applicable":
                flags[step["flag"]] = "pass"
        if failure:
            found.append(failure)
    if flags["first-step"] == "pass":
        flags["stale-update"] = "pass"
    failures = [failure for failure in found if failure.verdict == "valid"]
    tolerated = [failure for failure in found if failure.verdict != "valid"]
    for some, result in ((tolerated, "acceptable"), (failures, "fail")):
        flags.update(dict.fromkeys((failure.flag for failure in some), result))
    return Report(variant, flags, failures, tolerated, len(chosen))


@cache
def load(variant: str) -> list[dict[str, Any]]:
    """Read the vectors of a variant.

    Parameters
    ----------
    variant : str
        A name in `VARIANTS`.

    Returns
    -------
    list of dict
        One for each case, as the schema beside the files describes them.
    """
    path = FOLDER / f"{variant.replace('+', '_plus').replace('-', '_minus')}.json"
    return read(path)


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file of vectors, or say what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cases: list[dict[str, Any]] = document["cases"]
        if len(cases) != document["count"]:
            raise ValueError(f"{len(cases)} cases where count says {document['count']}")
        for case in cases:
            for name in ("params", "etas", "step_sizes"):
                floats(case[name])
            float.fromhex(case["delta0"]["hex"])
            for step in case["steps"]:
                float.fromhex(step["loss"]["hex"])
                sizes = {len(floats(step[name])) for name in ("grads", "params", "delta")}
                if sizes != {len(floats(case["params"]))} or step["flag"] not in FLAGS:
                    raise ValueError(f"step {step} of case {case['id']}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} is not a file of vectors: {error!r}") from error
    return cases


def floats(numbers: dict[str, list[str]]) -> list[float]:
    """Read numbers from their hexadecimal form."""
    return [float.fromhex(number) for number in numbers["hex"]]


def run(make_stepper: MakeStepper, case: dict[str, Any], ulps: int) -> Failure | None:
    """Run one case; return the first step that differs."""
    dtype = np.dtype(case["dtype"])
    delta0 = float.fromhex(case["delta0"]["hex"])
    eta_minus, eta_plus = floats(case["etas"])
    limits = floats(case["step_sizes"])
    stepper: Any = None
    step, was = 0, np.array(floats(case["params"]), dtype)
    wanted: Any = was
    flag = case["steps"][0]["flag"]

    def failure(what: str, expected: Any, actual: Any) -> Failure:
        code = getattr(stepper, "snippet", snippet)
        return Failure(
            flag, case["id"], step, expected, actual, what, case["verdict"], code(case, step)
        )

    try:
        stepper = make_stepper(was.copy(), delta0, (eta_minus, eta_plus), (limits[0], limits[1]))
        for step, expected in enumerate(case["steps"], 1):
            flag = expected["flag"]
            loss = float.fromhex(expected["loss"]["hex"])
            stepper.step(np.array(floats(expected["grads"]), dtype), loss)
            wanted = np.array(floats(expected["params"]), dtype)
            actual = np.array(stepper.params)
            if not close(actual, wanted, ulps):
                if step == 1 and close(actual, was, ulps) and lags(make_stepper, case, ulps):
                    flag = "stale-update"  # one bug, not one at every step
                return failure("params", show(wanted), show(actual))
            delta = getattr(stepper, "delta", None)
            if delta is not None and expected["delta"]:
                should = floats(expected["delta"])
                of_type = np.array(delta)
                if not close(of_type, np.array(should, of_type.dtype), ulps):
                    return failure("delta", show(np.array(should)), show(of_type))
    except Exception as error:  # noqa: BLE001, whatever it raises is a finding
        return failure("error", show(wanted), f"{type(error).__name__}: {error}")
    return None


def lags(make_stepper: MakeStepper, case: dict[str, Any], ulps: int) -> bool:
    """Tell whether the second step brings what the first one should have."""
    if len(case["steps"]) < 2:
        return False
    second = {**case["steps"][1], "params": case["steps"][0]["params"]}
    still = {**case["steps"][0], "params": case["params"]}
    no_delta = [{**step, "delta": None} for step in (still, second)]
    return run(make_stepper, {**case, "steps": no_delta}, ulps) is None


def close(actual: Array, expected: Array, ulps: int) -> bool:
    """Compare values of one dtype; +0 and -0 are one value, NaN equals nothing expected."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if not ulps:
        return bool((actual == expected).all())
    gap = np.abs(actual.astype(float) - expected.astype(float))
    return bool((gap <= ulps * np.spacing(np.abs(expected)).astype(float)).all())


def show(values: Array) -> str:
    """Write an array so that nothing is rounded away."""
    plain = values.dtype == np.float64 and values.ndim == 1
    return f"{values.tolist()!r}{'' if plain else f' ({values.dtype}, shape {values.shape})'}"


def snippet(case: dict[str, Any], step: int, make: str = "make_stepper") -> str:
    """Return code that reproduces a case up to a step."""
    etas, limits = (", ".join(case[name]["decimal"]) for name in ("etas", "step_sizes"))
    lines = [
        "import numpy as np",
        "from math import inf, nan",
        f"stepper = {make}(np.array({literal(case['params'])}, {case['dtype']!r}),",
        f"    {case['delta0']['decimal']}, ({etas}), ({limits}))",
    ]
    for i, line in enumerate(case["steps"][: max(step, 1)][-12:], max(1, step - 11)):
        grads = f"np.array({literal(line['grads'])}, {case['dtype']!r})"
        lines.append(f"stepper.step({grads}, {line['loss']['decimal']})  # step {i}")
    if step > 12:
        lines.insert(4, f"# {step - 12} earlier steps are in {case['id']}")
    lines.append(f"print(stepper.params)  # should be {literal(case['steps'][step - 1]['params'])}")
    return "\n".join(lines)


def literal(numbers: dict[str, list[str]]) -> str:
    """Write numbers as Python does."""
    return f"[{', '.join(numbers['decimal'])}]"
