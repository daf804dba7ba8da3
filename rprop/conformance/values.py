"""Compare and show arrays."""

from __future__ import annotations

import numpy as np

from rprop.rule.state import Array

__all__ = ["close", "differing", "show"]

SHORT = 6  # entries that a report shows


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
