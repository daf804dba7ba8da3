"""The safeguard: now and then a gradient step whose length is found by Armijo's rule."""

from __future__ import annotations

import numpy as np

from rprop.rule.state import Array, RpropState
from rprop.solver.per_run import choose_by_run, in_any_run, in_every_run, largest_magnitude, limit
from rprop.solver.run import Run, Spacer

__all__ = ["accept", "replace", "start"]

SPACING = 50  # iterations from one step of the safeguard to the next
ARMIJO = 1e-4  # the part of the decrease promised by the gradient that a trial must deliver


def start(many: tuple[int, ...]) -> Spacer:
    """Begin with nothing known."""
    zeros = np.zeros(many)[()]
    return Spacer(zeros, zeros, zeros > 0)


def replace(run: Run, x: Array, state: RpropState) -> tuple[Array, RpropState]:
    """Put a gradient step from the best point in the place of every SPACING-th step of the rule.

    Its length is found by Armijo's rule along the projected gradient, one trial an iteration.
    """
    assert run.spacer is not None
    length, floor, searching = run.spacer
    if not in_every_run(floor):  # a length that suits the first step of the rule
        steep = largest_magnitude(run.slope)
        suits = largest_magnitude(run.state.delta) / np.where(steep > 0, steep, 1)
        floor = np.where(floor > 0, floor, suits)[()]
    begins = ~searching & (run.age % SPACING == SPACING - 1)
    length = np.where(begins, np.maximum(2 * length, floor), length)[()]
    due = begins | searching
    run.spacer = Spacer(length, floor, due)
    if not in_any_run(due):
        return x, state
    trial = run.best.x - length[..., None] * run.best.jac
    trial = limit(trial, run.lower, run.upper).astype(x.dtype)
    forgotten = state._replace(prev_sign=0 * state.prev_sign, prev_update=0 * state.prev_update)
    return choose_by_run(due, trial, x), choose_by_run(due, forgotten, state)


def accept(run: Run) -> None:
    """Judge the safeguard's trial; halve its length where the loss fell too little."""
    assert run.spacer is not None
    length, floor, due = run.spacer
    if in_any_run(due):
        promised = (run.best.jac * (run.best.x - run.here.x)).sum(axis=-1)
        searching = due & ~(run.here.fun <= run.best.fun - ARMIJO * promised)
        run.spacer = Spacer(np.where(searching, length / 2, length)[()], floor, searching)
