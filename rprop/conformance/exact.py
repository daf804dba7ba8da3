"""Numbers that are computed exactly and rounded once per operation, by the rules of IEEE 754.

`reference.py` runs on them as it does on floats, so the expected values of the vectors owe nothing
to the arithmetic of this or any other machine.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

__all__ = ["FORMATS", "Number", "rounded"]


class Format(NamedTuple):
    """A binary floating-point format."""

    digits: int  # of the significand
    least: int  # exponent of the smallest subnormal number
    most: int  # exponent above every finite number


FORMATS = {
    "float16": Format(11, -24, 16),
    "float32": Format(24, -149, 128),
    "float64": Format(53, -1074, 1024),
}


def rounded(value: Fraction, format_: Format) -> Fraction:
    """Round to the nearest number of a format, ties to even."""
    if not value:
        return value
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1  # now 2**exponent <= |value| < 2**(exponent + 1)
    unit = Fraction(2) ** max(exponent - format_.digits + 1, format_.least)
    result = round(value / unit) * unit  # Python rounds ties to even
    if abs(result) >= Fraction(2) ** format_.most:
        raise OverflowError(f"{float(value)} is too large for {format_}")
    return result


class Number:
    """A finite number of one format; floats and integers beside it take that format."""

    def __init__(self, value: Any, format_: Format) -> None:
        self.value, self.format = rounded(Fraction(value), format_), format_

    def apply(self, other: Any, operation: Any) -> Number:
        """Compute with another number and round to the finer of the two formats."""
        if not isinstance(other, Number):
            other = Number(other, self.format)
        return Number(operation(self.value, other.value), max(self.format, other.format))

    def __add__(self, other: Any) -> Number:
        return self.apply(other, Fraction.__add__)

    def __sub__(self, other: Any) -> Number:
        return self.apply(other, Fraction.__sub__)

    def __mul__(self, other: Any) -> Number:
        return self.apply(other, Fraction.__mul__)

    __rmul__ = __mul__

    def __neg__(self) -> Number:
        return Number(-self.value, self.format)

    def __lt__(self, other: Number) -> bool:
        return self.value < other.value

    def __gt__(self, other: Number) -> bool:
        return self.value > other.value

    def to(self, format_: Format) -> Number:
        """Convert to a format."""
        return Number(self.value, format_)
