"""What an implementation cannot be told: settings that are fixed inside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

__all__ = ["NONE", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What cannot be set; `check` chooses and makes cases that fit.

    Parameters
    ----------
    etas : pair of float, optional
        The factors, where they are fixed.
    step_sizes : pair of float or None, optional
        The lower and the upper limit; None for what can be set. ``0`` and ``inf`` say that there
        is no such limit.
    delta0 : float, optional
        The initial step size, where it is fixed.
    factor : float, optional
        What the implementation multiplies `delta0` by before it moves. It is a fault unless its
        documentation says so; declare it to see what else there is.
    loss : bool, optional
        False if it cannot be told the loss.
    sizes : bool, optional
        False if it can only be given gradients of the size of 1, as where a target is set.
    size : int, optional
        The number of parameters, where it is fixed; the cases are made of copies.

    Examples
    --------
    >>> from rprop.conformance import check
    >>> from rprop.conformance.adapters import Core
    >>> class Fixed(Core):
    ...     def __init__(self, params, delta0, etas, step_sizes):
    ...         super().__init__(params, delta0, (0.5, 1.2), (1e-6, 50.0))
    >>> check(Fixed).ok
    False
    >>> check(Fixed, limits=Limits(etas=(0.5, 1.2), step_sizes=(1e-6, 50.0))).ok
    True
    """

    etas: tuple[float, float] | None = None
    step_sizes: tuple[float | None, float | None] = (None, None)
    delta0: float | None = None
    factor: float = 1.0
    loss: bool = True
    sizes: bool = True
    size: int | None = None

    def __post_init__(self) -> None:
        if self.etas is not None and not 0 < self.etas[0] < 1 < self.etas[1]:
            raise ValueError(
                f"etas must be a pair with 0 < eta_minus < 1 < eta_plus; got {self.etas!r}"
            )
        for name in ("delta0", "factor", "size"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive; got {value!r}")

    def fit(self, tape: Any) -> Any:
        """Return a tape with the settings that are fixed."""
        low, high = (
            wanted if fixed is None else fixed
            for wanted, fixed in zip(tape.step_sizes, self.step_sizes, strict=True)
        )
        return tape._replace(
            etas=self.etas or tape.etas,
            step_sizes=(low, high),
            delta0=self.delta0 or tape.delta0,
        )

    def but(self, **changes: Any) -> Limits:
        """Return the same limits but for some."""
        return replace(self, **changes)


NONE = Limits()
