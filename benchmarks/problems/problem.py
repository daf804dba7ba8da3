"""What a test problem is."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Formula = Callable[[np.ndarray], tuple[Any, np.ndarray]]


@dataclass(frozen=True)
class Problem:
    """A function to minimise, its start and its box.

    Parameters
    ----------
    name : str
        Unique among all problems.
    formula : callable
        ``formula(x) -> (f, g)``, value and exact gradient, in the dtype of `x`.
    x0 : ndarray of float64
        The start; it may lie outside the bounds.
    bounds : tuple of two ndarrays, optional
        Lower and upper bounds, in the order of ``scipy.optimize.Bounds``.
    f_opt : float, optional
        The least value known, where it is published or follows from the formula.
    family : str
        What belongs together; a split never divides a family.
    truth : callable, optional
        The formula without its noise, by which a noisy problem is judged.
    """

    name: str
    formula: Formula
    x0: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray] | None = None
    f_opt: float | None = None
    family: str = ""
    truth: Formula | None = None

    def fun(self, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return f and g at `x`; an overflow gives inf or NaN, not a warning."""
        with np.errstate(all="ignore"):
            return self.formula(x)

    def true(self, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return f and g at `x` without noise."""
        with np.errstate(all="ignore"):
            return (self.truth or self.formula)(x)

    @property
    def n(self) -> int:
        """The number of variables."""
        return self.x0.size

    @property
    def split(self) -> str:
        """The half it belongs to: "tune" to choose by, "report" to report on."""
        family = self.family.removeprefix("box_")  # a box makes no problem a stranger
        return "report" if zlib.crc32(family.encode()) & 1 else "tune"


def make(
    family: str,
    formula: Formula,
    x0: Any,
    f_opt: float | None = None,
    *,
    tag: str = "",
    bounds: tuple[Any, Any] | None = None,
    truth: Formula | None = None,
) -> Problem:
    """Make a problem named after its family, its number of variables and `tag`."""
    x0 = np.array(x0, float)
    if bounds is not None:
        lower, upper = (np.array(np.broadcast_to(b, x0.shape), float) for b in bounds)
        bounds = lower, upper
    name = f"{family}-{x0.size}" + (f"-{tag}" if tag else "")
    return Problem(name, formula, x0, bounds, f_opt, family, truth)


def least_squares(residuals: Callable[[np.ndarray], tuple[Any, Any]]) -> Formula:
    """Turn residuals and their Jacobian into the sum of squares and its gradient."""

    def formula(x: np.ndarray) -> tuple[Any, np.ndarray]:
        r, jacobian = map(np.asarray, residuals(x))
        return r @ r, 2 * (r @ jacobian)

    return formula


def columns(*arrays: Any) -> np.ndarray:
    """Stack columns, scalars among them, into a matrix."""
    return np.stack(np.broadcast_arrays(*arrays), axis=-1)
