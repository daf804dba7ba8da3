"""Short tapes that tell the settings of a model apart, and what an implementation does on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rprop.conformance.cases import MakeStepper
from rprop.conformance.limits import Limits
from rprop.conformance.models import Model, Tape, path
from rprop.rule.state import Array

__all__ = ["GRADS", "LOSSES", "Probe", "moved_by_params", "moved_by_sizes", "probes"]

#: Signs and losses that tell all rows of the table apart.
GRADS = [1, 1, 1, -1, -1, 1, 1, 1, -1, 1, 1, 0, 1, -1, -1, -1, 1]
LOSSES = [9, 8, 7, 8, 7, 6, 5, 4, 3, 4, 3, 2, 1, 2, 1, 0, 1]
UP_AND_DOWN = [5, 4, 3, 1, 0, 2, 5, 4, 4.5, 3.9, 4.1, 4.1001, 4.1, 3, 3.001]
FLIPS = [1, 1, -1, -1, -1, 1, 1, -1, 1, 1, -1, -1, 1, 1, -1]
ZEROS = [1, 0, 1, 1, 0, -1, -1, 0, 1, -1, 0, 0, 1, 1, 1]
COPIES = 4  # coordinates of a probe, all alike
TOLERANCE = {"float64": 1e-7, "float32": 1e-5, "float16": 5e-3}
FAR = 64.0  # where a translated probe starts: some clip what is beyond 150


def probes(limits: Limits) -> list[Tape]:
    """Return the tapes that tell the settings of a model apart."""
    mirrored = [-g for g in GRADS]
    n = len(GRADS)
    result = [
        Tape(GRADS, LOSSES),
        Tape(mirrored, LOSSES),
        Tape(GRADS, [-i for i in range(n)]),
        Tape(mirrored, list(range(n))),
        Tape(GRADS, [2.0] * n),
        Tape(ZEROS, LOSSES[: len(ZEROS)]),
        Tape([-g for g in ZEROS], LOSSES[: len(ZEROS)]),
        Tape([0, 1, 1, -1, -1], [4, 3, 2, 3, 2]),
        Tape([1, -1, 1, -1, -1, 1, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8]),
        Tape([-1, 1, 1, -1, -1, 1, 1, 1], [8, 7, 6, 5, 4, 3, 2, 1]),
        Tape(FLIPS, UP_AND_DOWN),
        Tape(GRADS[:8], LOSSES[:8], delta0=0.25),
    ]
    if limits.etas is None:
        result.append(Tape(GRADS, LOSSES, etas=(0.4, 1.6)))
    low, high = limits.step_sizes
    if low is None:
        result.append(Tape(FLIPS, UP_AND_DOWN, step_sizes=(0.05, 50.0)))
    if high is None:
        result.append(Tape(GRADS, LOSSES, step_sizes=(1e-6, 0.13)))
    return result


class Probe(NamedTuple):
    """An implementation, and what it can be told."""

    make: MakeStepper
    dtype: str
    limits: Limits

    def follow(self, tape: Tape, scale: float = 1.0) -> Array:
        """Return where the coordinates of an implementation go: a row for each step."""
        size = self.limits.size or COPIES
        start = np.full(size, tape.start, self.dtype)
        stepper = self.make(start, tape.delta0, tape.etas, tape.step_sizes)
        rows = []
        for grad, loss in zip(tape.grads, tape.losses, strict=True):
            with np.errstate(over="ignore"):
                grads = np.full(size, grad * scale, self.dtype)
            stepper.step(grads, float(loss))
            rows.append(np.array(stepper.params, float).reshape(size))
        return np.array(rows)

    def agrees(self, model: Model, tape: Tape, seen: Array, scale: float = 1.0) -> int:
        """Return how many steps agree with a model before one does not."""
        tape = tape._replace(grads=[g * scale for g in tape.grads])
        steps = 0
        for (wanted, _), actual in zip(path(model, tape, self.dtype), seen, strict=True):
            if not abs(wanted - actual) <= TOLERANCE[self.dtype] * (
                abs(wanted - tape.start) + 1e-9
            ):
                return steps
            steps += 1
        return steps


def moved_by_params(probe: Probe, i: int) -> bool:
    """Tell whether the same gradients move the parameters elsewhere from another start."""
    sizes = [1, 1e-3, 0, 1e-3, -1, -1e-3, 0, -1e-3]
    tape = probe.limits.fit(Tape(sizes, [8, 7, 6, 5, 4, 3, 2, 1], delta0=0.125))
    near = probe.follow(tape)[:, i]
    for start in (FAR, -FAR):
        far = probe.follow(tape._replace(start=start))[:, i] - start
        unit = float(np.spacing(np.dtype(probe.dtype).type(FAR)))
        if not np.allclose(far, near, rtol=0, atol=10 * unit, equal_nan=True):
            return True
    return False


def moved_by_sizes(probe: Probe, i: int) -> bool:
    """Tell whether gradients of another size, but not a tiny one, move the parameters elsewhere."""
    tape = probe.limits.fit(Tape(GRADS, LOSSES))
    ones = probe.follow(tape)[:, i]
    return not all(
        np.allclose(probe.follow(tape, scale)[:, i], ones, rtol=1e-9, atol=0, equal_nan=True)
        for scale in (8.0, 0.125)
    )
