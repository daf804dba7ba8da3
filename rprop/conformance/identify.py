"""Say which rule an implementation really follows."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple, get_args

import numpy as np

from rprop.conformance.checker import MakeStepper
from rprop.rule.state import Array
from rprop.rule.step import rprop_init, rprop_step
from rprop.rule.variants import VARIANTS, Move, Variant

__all__ = ["Identity", "identify"]


ETAS, STEP_SIZES, DELTA0 = (0.5, 1.2), (1e-6, 50.0), 0.1
#: Signs and losses that tell all rows of the table apart.
GRADS = [1, 1, 1, -1, -1, 1, 1, 1, -1, 1, 1, 0, 1, -1, -1, -1, 1]
LOSSES = [9, 8, 7, 8, 7, 6, 5, 4, 3, 4, 3, 2, 1, 2, 1, 0, 1]
FIRST = {"delta0": 1.0, "eta_plus * delta0": ETAS[1], "eta_minus * delta0": ETAS[0]}


class Identity(NamedTuple):
    """What an implementation is.

    Attributes
    ----------
    variant : Variant or None
        The row of data that it follows, None if it follows none.
    first_step : str
        The length of its first move: "delta0", or delta0 times a factor.
    stale : bool
        Whether every move arrives one step late.
    compares : str
        "signs"; "products" where the product of two gradients that underflows hides a sign; or
        "sizes" where small gradients lead elsewhere for another reason.
    matched : int
        How many steps of the probe agree with the row, or with the nearest one.
    """

    variant: Variant | None
    first_step: str
    stale: bool
    compares: str
    matched: int

    def __str__(self) -> str:
        late = ", every move one step late" if self.stale else ""
        if self.variant is None:
            return f"matches no row{late}; leaves the nearest at step {self.matched + 1}"
        flip, risen = describe(self.variant.on_flip), describe(self.variant.on_flip_risen)
        where = f", {risen} where the loss rose" if self.variant.needs_loss else ""
        keeps = "forgets" if self.variant.forgets else "remembers the new sign"
        return (
            f"{self.variant.name}: on a sign change {flip}{where}, and {keeps}; "
            f"first step {self.first_step}{late}; compares {self.compares}"
        )


def describe(move: Move) -> str:
    """Say what a coordinate does."""
    return {"step": "steps by the reduced delta", "stay": "stays", "undo": "undoes its last move"}[
        move
    ]


def candidates() -> list[Variant]:
    """Return the published rows, then all others that a row can say."""
    rows = list(VARIANTS.values())
    names = {("step", "step", True): "hybrid, as OpenCV"}
    known = {(r.on_flip, r.on_flip_risen, r.forgets) for r in rows}
    for fell, risen, forgets in product(get_args(Move), get_args(Move), (True, False)):
        if (fell, risen, forgets) not in known:
            name = names.get((fell, risen, forgets), "unpublished")
            rows.append(Variant(name, fell, risen, forgets))
    return rows


def identify(make_stepper: MakeStepper) -> Identity:
    """Say which rule an implementation really follows.

    Parameters
    ----------
    make_stepper : callable
        As for `check`. One coordinate in float64 is enough.

    Returns
    -------
    Identity
        The row of data that agrees with every step of a probe, to a relative 1e-6, or None and
        the number of steps that the nearest row agrees with.

    Raises
    ------
    Exception
        Whatever the stepper raises.

    Examples
    --------
    >>> from rprop.conformance.adapters import Core
    >>> print(identify(Core.of("irprop-")))
    irprop-: on a sign change stays, and forgets; first step delta0; compares signs
    """
    path = follow(make_stepper, np.array(GRADS, float))
    best = Identity(None, "", False, "", -1)
    for stale, (first, factor), row in product((False, True), FIRST.items(), candidates()):
        expected = simulate(row, np.array(GRADS, float), factor, stale)
        agrees = np.isclose(path, expected, rtol=1e-6, atol=1e-9)
        matched = len(path) if agrees.all() else int(agrees.argmin())
        if matched == len(path):
            tiny = follow(make_stepper, 1e-200 * np.array(GRADS))
            lone = -DELTA0 * factor * np.cumsum(np.sign(GRADS))  # without any adaptation
            lone = np.append(0, lone[:-1]) if stale else lone
            for compares, path in (("signs", expected), ("products", lone)):
                if np.isclose(tiny, path, rtol=1e-6, atol=1e-9).all():
                    return Identity(row, first, stale, compares, matched)
            return Identity(row, first, stale, "sizes", matched)
        if matched > best.matched:
            best = Identity(None, first, stale and matched > 1, "", matched)
    return best


def follow(make_stepper: MakeStepper, grads: Array) -> Array:
    """Return where an implementation goes on the probe."""
    stepper = make_stepper(np.zeros(1), DELTA0, ETAS, STEP_SIZES)
    path = []
    for grad, loss in zip(grads, LOSSES, strict=True):
        stepper.step(np.array([grad]), float(loss))
        path.append(float(np.asarray(stepper.params)[0]))
    return np.array(path)


def simulate(row: Variant, grads: Array, factor: float, stale: bool) -> Array:
    """Return where a row goes on the probe."""
    params, state = np.zeros(1), rprop_init([0.0], DELTA0 * factor)
    path = [0.0]
    for grad, loss in zip(grads, LOSSES, strict=True):
        params, state = rprop_step(
            params, [grad], state, ETAS, STEP_SIZES, variant=row, loss=float(loss)
        )
        path.append(float(params[0]))
    return np.array(path[:-1] if stale else path[1:])
