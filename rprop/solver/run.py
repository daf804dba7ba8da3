"""What a run is: where it is, what it has seen, and what it was asked for.

As in `rprop_step`, leading axes are independent: points have shape (n,) or (k, n), and what there
is one of per run has shape () or (k,). Arrays in a `Run` are replaced, never written to, so
whoever was handed one may keep it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rprop.rule.state import Array, RpropState
from rprop.rule.variants import Variant
from rprop.solver.per_run import pick, rebuild_array, share_one_row

__all__ = ["Directions", "Evaluate", "Point", "Run", "Search", "Settings", "Spacer", "join"]

Evaluate = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Settings:
    """What the user chose, checked; the same for every run."""

    variant: Variant
    etas: tuple[float, float]
    step_sizes: tuple[Any, Any]
    extremes: tuple[Any, Any]  # the least and the greatest of them, for directions
    limited: bool  # whether the user limits how long steps are
    delta0: Any  # None where it is guessed from the start and searched for
    learned: bool  # whether steps are along learned directions
    secant: bool  # whether they use the secant of the slopes
    safeguard: bool
    gtol: float | None
    xtol: Any
    ftol: float
    f_target: float
    maxiter: float
    maxfev: float
    exact: float  # how much of a loss rounding may be
    bottom: float  # a loss below this is taken as unbounded
    bounded: bool
    cost: Any  # function evaluations that one loss and gradient take


class Point(NamedTuple):
    """A point and what was found there."""

    x: Array  # (..., n)
    fun: Array  # (...)
    jac: Array  # (..., n)


class Search(NamedTuple):
    """The search for a step size, at the start and where a run goes on from its best point."""

    phase: Array  # (...) what the next trial is for; 0 where there is none, -1 just after the last
    factor: Array  # (...) its length, as a multiple of `Run.unit`
    reason: Array  # (...) the status with which the run ends if no smaller loss is found
    rose: Array  # (...) whether a loss was seen to rise
    lost: Array  # (...) whether an unusable value was seen


class Spacer(NamedTuple):
    """The safeguard's line search."""

    length: Array  # (...) of its last step, as a multiple of the gradient
    floor: Array  # (...) that length for the first step of the rule; 0 before it is known
    searching: Array  # (...) whether the next trial is its own


class Directions(NamedTuple):
    """The learned directions, with what they were learned from and what came since."""

    vectors: Array  # (..., k, n) orthonormal eigenvectors, or 0
    values: Array  # (..., k) their eigenvalues
    joint: Array  # (...) whether what is left is one more direction, and moves along its slope
    moves: Array  # (..., pairs, n) since the last renewal
    changes: Array  # (..., pairs, n) of the gradient over them
    collected: Array  # (...) how many


@dataclass(repr=False)
class Run:
    """Everything that the next iteration needs to know."""

    index: Array  # (...) which run it is
    lower: Array  # (..., n)
    upper: Array
    here: Point
    last: Point  # one move earlier: an undone move costs no evaluation
    best: Point  # where the loss was lowest
    slope: Array  # (..., n) the gradient less what pushes against a bound
    state: RpropState  # along the directions, if there are any
    directions: Directions | None
    along: Array  # (..., d) the slope along the directions
    last_along: Array | None  # (..., d) the same where the last step began, for secant moves
    search: Search
    spacer: Spacer | None
    unit: Array  # (..., n) what xtol is relative to where x is small
    steep: Array  # (...) the largest slope at the start
    gtol: Array  # (...)
    scale: Array  # (...) the size of the loss at the start, at most 1: what ftol is relative to
    level: Array  # (...) the lowest loss when it last fell by more than ftol
    waits: Array  # (...) iterations since then
    reach: Array  # (...) the longest step size at the first of them
    blocked: Array  # (...) whether Δ shrank for want of a usable value since the best point
    unseen: Array  # (...) iterations since something was evaluated
    nfev: Array  # (...)
    status: Array  # (...)
    nit: int  # iterations since the start or since resumed
    age: Array  # (...) iterations since the start

    def __repr__(self) -> str:
        return f"<Run of shape {self.here.x.shape} after {np.max(self.age)} iterations>"

    def end(self, rows: Any, status: int) -> None:
        """Let some runs end with a status."""
        self.status = pick(rows, np.int8(status), self.status)

    def snapshot(self) -> Run:
        """Copy a run that goes on; only what is learned is written to in place."""
        taken = copy.copy(self)
        if self.directions is not None:
            taken.directions = Directions(*(part.copy() for part in self.directions))
        return taken

    def take(self, rows: Array) -> Run:
        """Return some of many runs."""

        def pick(values: Array) -> Array:
            return values[: len(rows)] if share_one_row(values) else values.take(rows, axis=0)

        return rebuild(pick, self)


def join(*runs: Run) -> Run:
    """Make one run of rows of several."""

    def stack(*values: Array) -> Array:
        if share_one_row(*values):
            return np.broadcast_to(values[0][:1], (sum(map(len, values)), *values[0].shape[1:]))
        return np.concatenate(values)

    return rebuild(stack, *runs)


def rebuild(make: Callable[..., Array], *runs: Run) -> Run:
    """Make a run of the arrays of others; those that are one array stay one."""
    made: dict[tuple[int, ...], Array] = {}
    columns = zip(*(vars(run).values() for run in runs), strict=True)
    return Run(*(rebuild_array(make, made, values) for values in columns))
