"""Check code that only trains: from the parameters that it reports after every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rprop.conformance.models import Model, Tape, path, published
from rprop.rule.state import Array
from rprop.rule.variants import VARIANTS

__all__ = ["PROBLEMS", "Problem", "Replay", "expected_path", "replay"]


class Problem(NamedTuple):
    """A small function with a start: the sum of a (w - c)^2 / 2."""

    curvatures: tuple[float, ...]
    centres: tuple[float, ...]
    start: tuple[float, ...]

    def fun_and_grad(self, w: Any) -> tuple[float, Array]:
        """Return the loss and the gradient."""
        a, c = np.array(self.curvatures), np.array(self.centres)
        off = np.asarray(w, float) - c
        return float((a * off**2).sum() / 2), a * off


#: All numbers are sums of few powers of two; so are the first dozens of points.
PROBLEMS = {
    "one": Problem((1.0,), (0.3125,), (0.0,)),
    "two": Problem((1.0, 16.0), (1.125, -0.4375), (0.0, 0.0)),
    "three": Problem((4.0, 1.0, 0.25), (-0.6875, 0.09375, 3.0625), (0.5, 0.0, -1.0)),
}


class Replay(NamedTuple):
    """How far each rule explains a path.

    Attributes
    ----------
    rule : str
        The rule that agrees with the most steps.
    steps : int
        How many steps there are.
    agreed : dict
        How many steps from the start agree with each rule.
    """

    rule: str
    steps: int
    agreed: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether that rule explains every step."""
        return self.agreed[self.rule] == self.steps

    def __str__(self) -> str:
        if self.complete:
            others = [n for n, k in self.agreed.items() if k == self.steps and n != self.rule]
            also = f" (so does {', '.join(others)}: give it a path with more sign changes)"
            return f"{self.rule} explains all {self.steps} steps" + (also if others else "")
        k = self.agreed[self.rule]
        return f"no rule explains it; {self.rule} agrees until step {k}, not at step {k + 1}"


def replay(
    points: Sequence[Any],
    fun_and_grad: Callable[[Any], tuple[float, Any]],
    *,
    delta0: float,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
    rtol: float = 1e-6,
) -> Replay:
    """Tell which rule leads from each of some points to the next.

    Only the signs of the gradient matter, so `fun_and_grad` need not have the digits of what was
    trained, and nothing has to be done to it but to write down its parameters.

    Parameters
    ----------
    points : sequence of array_like
        The parameters at the start and after every step.
    fun_and_grad : callable
        Returns the loss and the gradient at a point.
    delta0, etas, step_sizes : optional
        What was trained with.
    rtol : float, optional
        By how much a move may differ, relative to its length.

    Returns
    -------
    Replay
        The rule, and how many steps each rule explains.

    Raises
    ------
    ValueError
        If there are fewer than two points.

    Examples
    --------
    >>> problem = PROBLEMS["two"]
    >>> points = expected_path(problem, "irprop-", 30)
    >>> print(replay(points, problem.fun_and_grad, delta0=0.125, etas=(0.5, 1.5)))
    irprop- explains all 30 steps
    """
    visited = [np.asarray(point, float).ravel() for point in points]
    if len(visited) < 2:
        raise ValueError(f"points must be at least two; got {len(visited)}")
    told = [fun_and_grad(point) for point in visited[:-1]]
    losses = [float(loss) for loss, _ in told]
    grads = np.array([np.asarray(grad, float).ravel() for _, grad in told])
    start = visited[0]
    agreed = {}
    for name, model in rules(etas).items():
        steps = len(losses)
        for i, column in enumerate(grads.T):
            tape = Tape(column.tolist(), losses, float(start[i]), delta0, etas, step_sizes)
            before = float(start[i])
            for k, (w, delta) in enumerate(path(model, tape)):
                if k >= steps or abs(w - visited[k + 1][i]) > rtol * max(delta, abs(w - before)):
                    steps = min(steps, k)
                    break
                before = w
        agreed[name] = steps
    best = max(agreed, key=lambda name: agreed[name])
    return Replay(best, len(losses), agreed)


def rules(etas: tuple[float, float]) -> dict[str, Model]:
    """Return the rules to tell apart: also with a first move of eta_plus * delta0."""
    rows = {name: published(name) for name in VARIANTS}
    rows["hybrid, as OpenCV"] = Model("step", "step", 0)
    longer = {
        f"{name}, first move eta_plus * delta0": row._replace(factor=etas[1])
        for name, row in rows.items()
    }
    return rows | longer


def expected_path(
    problem: Problem,
    variant: str,
    steps: int,
    *,
    delta0: float = 0.125,
    etas: tuple[float, float] = (0.5, 1.5),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
) -> list[Array]:
    """Return the start and the points after each step, by the scalar rules.

    Examples
    --------
    >>> [w.tolist() for w in expected_path(PROBLEMS["one"], "rprop-", 3)]
    [[0.0], [0.125], [0.3125], [0.3125]]
    """
    from rprop.rule.reference import RULES, rose

    points = [np.array(problem.start)]
    states = [(w, delta0, 0, 0.0) for w in problem.start]
    before = float("nan")
    for _ in range(steps):
        loss, grads = problem.fun_and_grad(points[-1])
        risen = rose(loss, before)
        states = [
            RULES[variant](w, g, d, s, u, etas, step_sizes, risen)
            for g, (w, d, s, u) in zip(grads, states, strict=True)
        ]
        points.append(np.array([state[0] for state in states]))
        before = loss
    return points
