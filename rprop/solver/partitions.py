"""Objectives that are sums over data partitions, evaluated by any map-like.

The optimiser stays on the driver. For each evaluation the parameters travel to the partitions,
and one loss and one gradient travel back from each. Partial gradients travel as `part_fun` made
them: rounding them to float32 on the way would save half the traffic, but where they cancel it
changes the sign of their sum, and the sign is all that Rprop sees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, NamedTuple

import numpy as np

from rprop.rule.state import Array
from rprop.solver.objective import scalar

__all__ = ["PartitionError", "dask_map", "sum_over"]


class PartitionError(RuntimeError):
    """A partition could not be evaluated."""


class Partial(NamedTuple):
    """What one partition contributes."""

    evaluation: int
    number: int
    loss: float
    gradient: Array


@dataclass
class Task:
    """One evaluation, to be mapped over the numbered partitions; processes can have it."""

    part_fun: Callable[..., Any]
    x: Array
    args: tuple[Any, ...]
    evaluation: int

    def __call__(self, item: tuple[int, Any]) -> Partial:
        """Evaluate a partition."""
        index, part = item
        try:
            both = self.part_fun(self.x, part, *self.args)
        except (Exception, SystemExit) as error:  # which would end a worker of a pool unheard
            raise PartitionError(f"partition {index} raised {error!r}") from error
        try:
            loss, gradient = both
            # A copy: the next partition may be evaluated into the same array.
            partial = Partial(self.evaluation, index, float(scalar(loss)), np.array(gradient))
        except Exception as error:  # a tensor that requires a gradient raises a RuntimeError
            raise ValueError(
                f"part_fun must return (loss, gradient); got {both!r} from partition {index}"
            ) from error
        if partial.gradient.shape != self.x.shape or partial.gradient.dtype.kind not in "biuf":
            raise ValueError(
                f"part_fun must return a real gradient of the shape of x, {self.x.shape}; got "
                f"shape {partial.gradient.shape} and dtype {partial.gradient.dtype} "
                f"from partition {index}"
            )
        return partial


def sum_over(
    part_fun: Callable[..., Any],
    parts: Iterable[Any],
    map: Callable[..., Iterable[Any]] = map,
) -> Callable[..., tuple[float, Array]]:
    """Make one objective of a sum over data partitions.

    Parameters
    ----------
    part_fun : callable
        ``part_fun(x, part, *args) -> (loss, gradient)``, what one partition contributes at the
        parameters `x`, which it must not write to. Pools of processes need to be able to pickle
        it.
    parts : iterable
        The partitions, in any form that `part_fun` understands: arrays, file names, ranges.
    map : callable, optional
        ``map(task, items)`` applies `task` to every item and returns the results, in any order:
        the builtin, ``ThreadPoolExecutor().map``, ``ProcessPoolExecutor().map``,
        ``multiprocessing.Pool().map``, or `dask_map`. Process pools send every partition anew at
        each evaluation, so make partitions names of data there; `dask_map` sends them once. If a
        worker is killed, ``ProcessPoolExecutor`` raises ``BrokenProcessPool``, but
        ``multiprocessing.Pool`` waits for ever.

    Returns
    -------
    callable
        ``fun(x, *args) -> (loss, gradient)``, for `minimize_rprop` with ``jac=True``. Losses and
        gradients are added in the order of `parts`, whatever the order in which they arrived, so
        the sums do not depend on `map` by a bit.

    Raises
    ------
    ValueError
        If there are no partitions. From ``fun``: if `map` returned no result for a partition, or
        several, or one of an earlier evaluation; or if `part_fun` returned something else than a
        loss and a gradient.
    PartitionError
        From ``fun``: if `part_fun` raised; names the partition. What `map` raises propagates. After
        an error, ``fun`` may be called again.

    Notes
    -----
    Rprop uses signs only, so its iterates do not depend on how the data are divided or in which
    order partial gradients are added, as long as no component of the gradient is so small that
    rounding decides its sign. "irprop+" also compares losses, which rounding decides sooner.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop import minimize_rprop, sum_over
    >>> def squares(x, part):
    ...     return ((x - part) ** 2).sum(), 2 * (x - part).sum(axis=0)
    >>> parts = [np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([[5.0, -1.0]])]
    >>> fun = sum_over(squares, parts)
    >>> fun(np.zeros(2))  # 1 + 9 + 25 + 4 + 4 + 1
    (44.0, array([-18.,  -6.]))
    >>> minimize_rprop(fun, [0.0, 0.0], jac=True).x.round(3)
    array([3., 1.])
    """
    for name, value in {"part_fun": part_fun, "map": map}.items():
        if not callable(value):
            raise TypeError(f"{name} must be callable; got {value!r}")
    items = tuple(enumerate(parts))  # no `map` can take one away
    evaluations = count()
    if not items:
        raise ValueError("parts must hold at least one partition; got none")

    def fun(x: Array, *args: Any) -> tuple[float, Array]:
        x = np.array(x)
        x.setflags(write=False)  # the partitions share it
        task = Task(part_fun, x, args, next(evaluations))
        partials = collect(map(task, items), task.evaluation, len(items))
        dtype = np.result_type(float, *(partial.gradient for partial in partials))
        loss, gradient = 0.0, np.zeros(x.shape, dtype)
        with np.errstate(all="ignore"):  # whoever minimises judges what is not finite
            for partial in partials:
                loss += partial.loss
                gradient += partial.gradient
        return loss, gradient

    return fun


def collect(results: Iterable[Any], evaluation: int, count: int) -> list[Partial]:
    """Put results in the order of their partitions, and see that none is missing."""
    partials: dict[int, Partial] = {}
    if not isinstance(results, Iterable):
        raise ValueError(  # noqa: TRY004  # it is `map` that is wrong, whatever it returned
            f"map must return the results of its calls, in an iterable; got {results!r}"
        )
    for result in results:
        if not isinstance(result, Partial):
            raise ValueError(  # noqa: TRY004
                f"map must return the results of its calls; got {result!r}"
            )
        if result.evaluation != evaluation:
            raise ValueError(
                f"map must return results of this evaluation, number {evaluation}; got one of "
                f"partition {result.number} from number {result.evaluation}: empty what `map` "
                "keeps after an error"
            )
        if result.number not in range(count):
            raise ValueError(
                f"map must return results of the {count} partitions it was given; got one of "
                f"number {result.number!r}"
            )
        if result.number in partials:
            raise ValueError(f"map must return one result a partition; got two of {result.number}")
        partials[result.number] = result
    missing = [index for index in range(count) if index not in partials]
    if missing:
        raise ValueError(
            f"map must return a result for each of {count} partitions; got none for "
            f"{', '.join(str(index) for index in missing)}"
        )
    return [partials[index] for index in range(count)]


class dask_map:  # called like the function that it stands for
    """A `map` for `sum_over` that keeps the partitions on the workers of a Dask cluster.

    Each partition goes to a worker once. After that an evaluation sends one message to each
    worker, with the parameters, and gets back a loss and a gradient for each partition there.

    Parameters
    ----------
    client : dask.distributed.Client
        A client that is connected. The workers need `rprop` installed.
    timeout : float, optional
        How many seconds to wait for a worker if there is none.
    attempts : int, optional
        How many times in a row workers may be lost in one evaluation. Partitions of lost workers
        move to those that are left, and the evaluation is repeated.

    Raises
    ------
    PartitionError
        When called: if workers were lost `attempts` times in a row.
    TimeoutError
        When called: if there is no worker.
    ConnectionError
        When called: if the scheduler does not answer.

    Notes
    -----
    A partition that is itself a `dask.distributed.Future` need never visit the driver:
    ``parts = client.map(load, names)``.

    Examples
    --------
    >>> from dask.distributed import Client  # doctest: +SKIP
    >>> with Client("scheduler:8786") as client:  # doctest: +SKIP
    ...     fun = sum_over(part_fun, parts, map=dask_map(client))
    ...     result = minimize_rprop(fun, x0, jac=True)
    """

    def __init__(self, client: Any, timeout: float = 60.0, attempts: int = 3) -> None:
        self.client, self.timeout, self.attempts = client, timeout, attempts
        self.items: Sequence[Any] | None = None
        self.held: list[Any] = []

    def __call__(self, task: Callable[..., Any], items: Sequence[Any]) -> Iterable[Any]:
        """Apply `task` to every item where it lies."""
        from distributed.protocol import pickle

        dumps: Any = pickle.dumps
        # Once for all workers; what cannot be pickled fails here rather than on the way.
        message = dumps(task)
        for _ in range(self.attempts):
            try:
                if items is not self.items:
                    self.pin(items)
                answers = [ask(actor, message) for _, actor in self.held]
                return list(chain.from_iterable(map(wait, self.held, answers)))
            except WorkerLost:
                self.items = None
        raise PartitionError(f"workers were lost {self.attempts} times in a row")

    def workers(self) -> dict[str, int]:
        """Return how many threads each worker has; wait until there is a worker."""
        deadline = time.monotonic() + self.timeout
        while not (threads := self.threads()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no Dask worker appeared within {self.timeout} s")
            time.sleep(0.05)
        return threads

    def threads(self) -> dict[str, int]:
        """Ask the scheduler for its workers."""
        try:
            return dict(self.client.nthreads())
        except OSError as error:
            raise ConnectionError(f"the Dask scheduler does not answer: {error}") from error

    def pin(self, items: Sequence[Any]) -> None:
        """Divide the items among the threads of all workers."""
        from distributed import Future

        self.held = []  # frees what the workers hold
        threads = self.workers()
        slots = [worker for worker, count in threads.items() for _ in range(count)]
        futures = []
        try:
            for worker, count in threads.items():
                mine = [item for i, item in enumerate(items) if slots[i % len(slots)] == worker]
                if not mine:
                    continue
                numbers, parts = map(list, zip(*mine, strict=True))
                for i, part in enumerate(parts):
                    if not isinstance(part, Future):
                        parts[i] = self.client.scatter([part], workers=[worker], hash=False)[0]
                where: Any = {"workers": [worker], "allow_other_workers": True}  # if it has gone
                futures.append(
                    self.client.submit(Holder, numbers, parts, count, actor=True, **where)
                )
        except (OSError, KeyError):  # the scheduler no longer knows the worker
            raise WorkerLost from None
        try:  # apart, as a partition that is loaded on its worker may raise OSError
            self.held = [(future, future.result()) for future in futures]
        except CancelledError:
            raise WorkerLost from None
        self.items = items


def ask(actor: Any, message: bytes) -> Any:
    """Send a task to an actor."""
    try:
        return actor.evaluate(message)
    except RuntimeError:
        raise WorkerLost from None


def wait(held: tuple[Any, Any], answer: Any) -> Any:
    """Wait for the answer of an actor for as long as its worker lives."""
    while True:
        try:
            return answer.result(timeout=1)
        except TimeoutError:
            if held[0].status != "finished":
                raise WorkerLost from None
        except OSError:
            raise WorkerLost from None


class WorkerLost(Exception):  # never leaves this module
    """A worker took its partitions with it."""


class Holder:
    """An actor that holds the partitions of one worker."""

    def __init__(self, numbers: list[int], parts: list[Any], threads: int) -> None:
        self.items = list(zip(numbers, parts, strict=True))
        self.map: Callable[..., Iterable[Any]] = (
            ThreadPoolExecutor(threads).map if threads > 1 else map
        )

    def evaluate(self, message: bytes) -> list[Any]:
        """Apply a pickled task to every partition here."""
        from distributed.protocol import pickle

        loads: Any = pickle.loads
        return list(self.map(loads(message), self.items))
