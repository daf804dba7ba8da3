"""Turn a minimiser that owns its loop into a stepper."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import Empty, Queue
from threading import Thread
from typing import Any

import numpy as np

from rprop.conformance.cases import MakeStepper
from rprop.rule.state import Array

__all__ = ["driven"]

Pair = tuple[float, float]
#: Calls fun_and_grad(x) -> (loss, grads) at every point that it visits.
Minimise = Callable[..., Any]


class Ended(BaseException):
    """Ends the minimiser from inside its objective; no ``except Exception`` keeps it."""


def driven(minimise: Minimise, *, timeout: float = 10.0) -> MakeStepper:
    """Make what `check` takes out of a minimiser that calls an objective.

    The minimiser runs in a thread. Its objective hands out the point it is called with, which
    are the parameters after the last step, and waits for the gradient and the loss of the next.

    Parameters
    ----------
    minimise : callable
        ``minimise(fun_and_grad, x0, delta0, etas, step_sizes)`` minimises; ``fun_and_grad(x)``
        returns the loss and the gradient at x. It must call it once for every step and should
        have no other reason to stop: switch its tolerances off.
    timeout : float, optional
        Seconds to wait for the next call.

    Returns
    -------
    callable
        ``make_stepper(params, delta0, etas, step_sizes)``.

    Examples
    --------
    >>> from rprop.conformance import check
    >>> def minimise(fun_and_grad, x, delta0, etas, step_sizes):
    ...     rprop = Core(x, delta0, etas, step_sizes)
    ...     for _ in range(2000):
    ...         loss, grads = fun_and_grad(rprop.params)
    ...         rprop.step(grads, loss)
    >>> from rprop.conformance.adapters import Core
    >>> check(driven(minimise)).ok
    True
    """

    def make(params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> Driven:
        return Driven(minimise, timeout, params, delta0, etas, step_sizes)

    return make


class Driven:
    """One run of a minimiser."""

    def __init__(self, minimise: Minimise, timeout: float, params: Array, *settings: Any) -> None:
        points: Queue[Any] = Queue()
        answers: Queue[Any] = Queue()
        self.points, self.answers, self.timeout = points, answers, timeout
        self.params, self.ended = params, ""

        def fun_and_grad(x: Any) -> tuple[float, Array]:
            points.put(np.array(x))
            answer = answers.get()
            if answer is None:
                raise Ended
            loss, grads = answer
            return loss, grads

        def work() -> None:
            try:
                minimise(fun_and_grad, params.copy(), *settings)
                points.put(RuntimeError("the minimiser stopped by itself: switch its stopping off"))
            except Ended:
                pass
            except BaseException as error:  # noqa: BLE001, it is raised where the step was asked for
                points.put(error)

        Thread(target=work, daemon=True).start()
        self.end = weakref.finalize(self, answers.put, None)  # the thread knows nothing of self
        self.begun = False

    def step(self, grads: Array, loss: float) -> None:
        """Answer the call that waits, and wait for the next."""
        if not self.begun:
            self.begun = True
            start = self.wait()
            if not np.array_equal(start, self.params):
                raise ValueError(f"the first point must be x0, {self.params!r}; got {start!r}")
        self.answers.put((loss, grads))
        self.params = self.wait()

    def wait(self) -> Array:
        """Return the next point."""
        try:
            point: Any = self.points.get(timeout=self.timeout)
        except Empty:
            raise TimeoutError(f"no call within {self.timeout:g} s") from None
        if isinstance(point, BaseException):
            raise point
        array: Array = point
        return array
