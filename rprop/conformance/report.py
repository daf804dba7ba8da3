"""What came of a check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rprop.conformance.flags import FLAGS

__all__ = ["Failure", "Report"]


@dataclass(frozen=True)
class Failure:
    """The first step of a case at which an implementation differs."""

    flag: str
    case: str
    step: int  # counted from 1; 0 where the stepper could not be made
    expected: Any
    actual: Any
    what: str  # "params", "delta", "grads", "error" or "no answer"
    verdict: str
    snippet: str = field(repr=False, default="")
    note: str = ""  # under which change of the settings
    index: int = field(repr=False, default=0)  # of the coordinate
    value: float = field(repr=False, default=float("nan"))  # what it is
    shown: str = field(repr=False, default="")  # the flag of the step in the vectors

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.flag}: {self.case}, step {self.step}: {self.what} should be "
            f"{self.expected}, got {self.actual}{note}"
        )


@dataclass(frozen=True)
class Report:
    """What came of a check.

    Attributes
    ----------
    variant : str
        The rule that was expected.
    flags : dict
        "pass", "fail", "acceptable" or "not applicable" for every flag; "follows" where steps
        fail, but another flag explains them.
    failures : list of Failure
        One for every case of verdict "valid" that an implementation left, those of the leading
        flag first.
    tolerated : list of Failure
        The same for cases where the papers are silent.
    count : int
        How many cases were run.
    leading : str
        The flag to mend first, "" if there is none.
    causes : tuple of str
        The faults that explain the failures, in words, the leading one first.
    uncovered : tuple of str
        Flags of the minimum that no case came to.
    declined : tuple of str
        The dtypes that the implementation declined, with its reasons.
    claim : str
        What the exhaustive part has shown, where it was run.
    """

    variant: str
    flags: dict[str, str]
    failures: list[Failure]
    tolerated: list[Failure]
    count: int
    leading: str = ""
    causes: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    claim: str = ""

    @property
    def ok(self) -> bool:
        """Whether the implementation conforms: nothing fails, and the minimum was covered."""
        return self.count > 0 and not self.failures and not self.uncovered

    def assert_ok(self) -> None:
        """Raise an AssertionError that holds the report unless the implementation conforms."""
        if not self.ok:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        width = max(map(len, self.flags), default=4)
        first = {failure.flag: failure for failure in [*self.failures, *self.tolerated][::-1]}
        lines = [f"{'flag'.ljust(width)}  result"]
        errors = set()
        for flag, result in self.flags.items():
            lines.append(f"{flag.ljust(width)}  {result}")
            if flag in first and result not in ("pass", "follows"):
                failure = first[flag]
                if failure.what == "error" and failure.actual in errors:
                    continue  # said above
                errors.add(failure.actual)
                note = f", {failure.note}" if failure.note else ""
                lines += [
                    f"    {FLAGS[flag].description}",
                    f"    {failure.case}, first at step {failure.step}{note}",
                    f"    {failure.what} expected {failure.expected}",
                    f"    {' ' * len(failure.what)} actual   {failure.actual}",
                ]
        verdict = "conforms to" if self.ok else "does not conform to"
        if self.uncovered and not self.failures:
            verdict = "too little was run to say that it conforms to"
        failing = len({failure.case for failure in self.failures})
        lines.append(f"\n{verdict} {self.variant}: {failing} of {self.count} cases fail")
        if self.failures and self.failures[-1].what == "no answer":
            lines[-1] += "; the others were not run"
        if self.declined:
            lines.append(f"declined: {'; '.join(self.declined)}")
        if self.uncovered:
            lines.append(f"not covered, so nothing is known about: {', '.join(self.uncovered)}")
        if self.leading:
            lines.append(f"leading flag: {self.leading}")
        if self.causes:
            lines.append("what explains it: " + "; ".join(self.causes))
        if self.claim:
            lines.append(self.claim)
        if self.failures:
            lines += ["\nTo reproduce the first of them:\n", self.failures[0].snippet]
        return "\n".join(lines)
