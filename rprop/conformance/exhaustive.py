"""What can be claimed beyond the cases: every short tape, and every gradient of half precision.

A rule of one coordinate is a machine that reads a sign of the gradient, -, 0 or +, and whether the
loss fell, stayed or rose; it answers by a move, which is its step size times a factor. The
published rules have three states: a remembered sign of -, 0 or +. Two such machines of n and m
states that differ at all differ on some tape of n + m - 1 steps [1]_. All tapes of k steps
therefore tell a rule of three states from every other machine of up to k - 2 states.

References
----------
.. [1] E. F. Moore, "Gedanken-experiments on sequential machines", Automata Studies, 1956,
       129-153; T. S. Chow, "Testing software design modeled by finite-state machines", IEEE
       Transactions on Software Engineering 4, 1978, 178-187.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from rprop.conformance.cases import MakeStepper, known
from rprop.conformance.limits import NONE, Limits
from rprop.rule.reference import RULES, rose
from rprop.rule.state import Array

__all__ = ["Claim", "exhaust"]

STATES = 3  # of the published rules
SETTINGS = (0.125, (0.5, 1.5), (2.0**-20, 64.0))  # sums of few powers of two: exact


class Claim(NamedTuple):
    """What the exhaustive part has shown.

    Attributes
    ----------
    holds : bool
        Whether nothing differed.
    text : str
        The claim, or the first tape that contradicts it.
    tapes : int
        How many tapes were run.
    """

    holds: bool
    text: str
    tapes: int

    def __str__(self) -> str:
        return self.text


def exhaust(
    make_stepper: MakeStepper, variant: str = "irprop-", depth: int = 5, *, limits: Limits = NONE
) -> Claim:
    """Run every tape of some steps, and every gradient of half precision.

    Parameters
    ----------
    make_stepper : callable
        As for `check`; it is given many coordinates at once.
    variant : str, optional
        The rule it should follow.
    depth : int, optional
        The number of steps; each more takes three times as many tapes and coordinates.
    limits : Limits, optional
        What it cannot be told. With fixed `etas` steps are compared to 1e-9, else to the bit.

    Returns
    -------
    Claim
        What holds from now on, or the first tape that differs.

    Raises
    ------
    ValueError
        If the variant is unknown or `depth` is below 1.

    Examples
    --------
    >>> from rprop.conformance.adapters import Core
    >>> print(exhaust(Core.of("rprop-"), "rprop-", depth=3))
    all 9 x 27 tapes of 3 steps (gradient -, 0, +; loss falls, stays, rises) and all 63489 \
numbers of float16 as gradients agree: rprop- is told from every rule that remembers up to 1 value \
a coordinate
    """
    known(variant)
    if depth < 1:
        raise ValueError(f"depth must be at least 1; got {depth!r}")
    signs = np.array(list(product((-1.0, 0.0, 1.0), repeat=depth))).T
    delta0, etas, sizes = SETTINGS
    etas = limits.etas or etas
    low, high = limits.step_sizes
    sizes = (sizes[0] if low is None else low, sizes[1] if high is None else high)
    delta0 = limits.delta0 or delta0
    tolerance = 0 if limits.etas is None else 1e-9
    tapes = (
        list(product((-1.0, 0.0, 1.0), repeat=depth - 1))
        if limits.loss
        else [(-1.0,) * (depth - 1)]
    )
    for changes in tapes:
        losses = np.concatenate([[0.0], np.cumsum(changes)])
        expected = wanted(variant, signs, losses, delta0 * limits.factor, etas, sizes)
        stepper = make_stepper(np.zeros(signs.shape[1]), delta0, etas, sizes)
        for k in range(depth):
            stepper.step(signs[k].copy(), float(losses[k]))
            actual = np.array(stepper.params, float)
            same = np.abs(actual - expected[k]) <= tolerance
            if not same.all():
                i = int((~same).argmax())
                text = (
                    f"gradients {signs[: k + 1, i].tolist()}, losses {losses[: k + 1].tolist()}: "
                    f"params should be {expected[k][i]}, got {actual[i]}"
                )
                return Claim(False, text, len(tapes) * signs.shape[1])
    wrong = halves(make_stepper, delta0, etas, sizes)
    if wrong:
        return Claim(False, wrong, len(tapes) * signs.shape[1])
    most = depth - STATES + 1
    text = (
        f"all {len(tapes)} x {signs.shape[1]} tapes of {depth} steps (gradient -, 0, +; loss falls, "
        f"stays, rises) and all {len(numbers())} numbers of float16 as gradients agree"
    )
    if most > 0:
        values = "value" if most == 1 else "values"
        text += (
            f": {variant} is told from every rule that remembers up to {most} {values} a coordinate"
        )
    return Claim(True, text, len(tapes) * signs.shape[1])


def wanted(
    variant: str,
    signs: Array,
    losses: Array,
    delta0: float,
    etas: tuple[float, float],
    sizes: tuple[float, float],
) -> list[Array]:
    """Return where all coordinates are after each step."""
    rule, n = RULES[variant], signs.shape[1]
    states = [(0.0, delta0, 0, 0.0)] * n
    result, before = [], float("nan")
    for row, loss in zip(signs, losses, strict=True):
        risen = rose(loss, before)
        states = [
            rule(w, g, d, s, u, etas, sizes, risen)
            for g, (w, d, s, u) in zip(row, states, strict=True)
        ]
        result.append(np.array([state[0] for state in states]))
        before = loss
    return result


def numbers() -> Array:
    """Return every number of half precision."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(float)
    return np.concatenate([[0.0], every[~np.isnan(every) & (every != 0)]])


def halves(
    make_stepper: MakeStepper, delta0: float, etas: tuple[float, float], sizes: tuple[float, float]
) -> str:
    """Return a gradient of half precision whose sign is not seen, "" if there is none."""
    grads = numbers()
    stepper = make_stepper(np.zeros(len(grads)), delta0, etas, sizes)
    ones = make_stepper(np.zeros(3), delta0, etas, sizes)
    for loss in (2.0, 1.0, 0.0):  # the first move, growth, and what a sign change leads to
        sign = -1.0 if loss == 0 else 1.0
        stepper.step(sign * grads, loss)
        ones.step(sign * np.array([-1.0, 0.0, 1.0]), loss)
        expected = np.array(ones.params, float)[np.sign(grads).astype(int) + 1]
        differs = np.array(stepper.params, float) != expected
        if differs.any():
            return f"a gradient of {float(grads[differs.argmax()])!r} is not taken for its sign"
    return ""
