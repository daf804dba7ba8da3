"""`dask_map` with a client that is a stand-in, so that every way to lose a worker can be played."""

import gc
import pickle
import sys
import threading
import weakref
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest

from rprop import PartitionError, dask_map, sum_over
from rprop.solver import partitions

PARTS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def part_fun(x, part):
    return part, x * part


def meet(x, part):
    BARRIER.wait(timeout=20)
    return part, x


BARRIER = threading.Barrier(2)


class Future:
    """A value on a worker."""

    status = "finished"

    def __init__(self, value, worker):
        self.value, self.worker = value, worker

    def result(self):
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


class Actor:
    """A Holder on a worker; `played` says how its next calls end, one after the other."""

    def __init__(self, client, future, holder):
        self.client, self.future, self.holder = client, weakref.proxy(future), holder

    def evaluate(self, message):
        self.client.messages.append((self.future.worker, message))
        error = self.client.played.pop(0) if self.client.played else None
        if isinstance(error, RuntimeError):
            self.client.lose(self.future.worker)
            raise error
        return SimpleNamespace(result=lambda timeout: self.answer(message, error, timeout))

    def answer(self, message, error, timeout):
        assert timeout <= 1  # that a worker is lost should be seen soon
        if isinstance(error, list) and error:  # how often to time out; the worker lives
            error.pop()
            raise TimeoutError
        if error == "dies":
            self.future.status = "lost"
            self.client.lose(self.future.worker)
            raise TimeoutError
        if isinstance(error, Exception):
            self.client.lose(self.future.worker)
            raise error
        return self.holder.evaluate(message)


class Client:
    """Workers by their threads."""

    def __init__(self, **threads):
        self.workers, self.played, self.messages = threads, [], []
        self.scattered, self.held, self.alive = [], {}, weakref.WeakSet()
        self.left = 0  # actors that were alive when something was sent
        self.refuses = {}  # what scatter, submit or the making of a holder raises, once

    def lose(self, worker):
        del self.workers[worker]

    def refuse(self, call, worker):
        if call in self.refuses:
            self.lose(worker)
            raise self.refuses.pop(call)

    def nthreads(self):
        return self.workers

    def scatter(self, data, workers, hash):
        assert not hash  # equal partitions stay two, each where it is sent
        self.refuse("scatter", *workers)
        self.left = len(self.alive)
        self.scattered += data
        return [Future(value, *workers) for value in data]

    def submit(self, make, numbers, parts, threads, actor, workers, allow_other_workers):
        assert actor
        assert allow_other_workers  # this one may have gone in the meantime
        self.refuse("submit", *workers)
        self.held[workers[0]] = numbers
        values = [part.result() for part in parts]
        future = Future(None, *workers)
        self.alive.add(future)
        future.value = Actor(self, future, make(numbers, values, threads))
        if "holder" in self.refuses:
            self.lose(*workers)
            future.value = self.refuses.pop("holder")
        return future


@pytest.fixture(autouse=True)
def distributed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Future=Future))
    monkeypatch.setitem(sys.modules, "distributed.protocol", SimpleNamespace(pickle=pickle))


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only in sleep."""
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now, asleep=lambda: None)

    def sleep(seconds):
        clock.now += seconds
        clock.asleep()

    clock.sleep = sleep
    monkeypatch.setattr(partitions, "time", clock)
    return clock


def check(fun, total=63.0):
    loss, gradient = fun(np.array([1.0, -2.0]))
    assert loss == total
    np.testing.assert_array_equal(gradient, [total, -2 * total])


def test_partitions_are_sent_once_and_divided_by_threads():
    client = Client(a=1, b=2)
    fun = sum_over(part_fun, PARTS, map=dask_map(client))
    for _ in range(3):
        check(fun)
    assert sorted(client.scattered) == PARTS
    assert client.held == {"a": [0, 3], "b": [1, 2, 4, 5]}
    assert [worker for worker, _ in client.messages] == ["a", "b"] * 3
    for (_, one), (_, other) in zip(client.messages[::2], client.messages[1::2], strict=True):
        assert one is other  # pickled once for all


def test_a_worker_without_partitions_is_left_alone():
    client = Client(a=1, b=1, c=1)
    check(sum_over(part_fun, PARTS[:2], map=dask_map(client)), 3.0)
    assert client.held == {"a": [0], "b": [1]}


def test_futures_stay_where_they_are():
    client = Client(a=1, b=1)
    parts = [Future(part, "b") if part != 4 else part for part in PARTS]
    check(sum_over(part_fun, parts, map=dask_map(client)))
    assert client.scattered == [4.0]


def test_the_threads_of_a_worker_work_at_the_same_time():
    loss, _ = sum_over(meet, PARTS[:2], map=dask_map(Client(a=2)))(np.zeros(1))
    assert loss == 3.0


def test_two_sums_share_a_map():
    mapper = dask_map(Client(a=1))
    one, other = sum_over(part_fun, PARTS, mapper), sum_over(part_fun, PARTS[:2], mapper)
    for _ in range(2):
        check(one)
        check(other, 3.0)
    assert len(mapper.client.alive) == 1  # of the sum evaluated last
    assert mapper.client.left == 0  # two sums need no more memory than one


ENDS = {
    "it went before it was asked": lambda: RuntimeError("Worker holding Actor was lost"),
    "the connection broke": lambda: OSError("closed"),
    "it went at work": lambda: "dies",
}


@pytest.mark.parametrize("end", ENDS)
def test_partitions_of_a_lost_worker_move(end):
    client = Client(a=1, b=2)
    fun = sum_over(part_fun, PARTS, map=dask_map(client))
    check(fun)
    client.played = [None, ENDS[end]()]
    check(fun)
    assert client.held["a"] == [0, 1, 2, 3, 4, 5]
    gc.collect()  # errors hold what they passed
    assert len(client.alive) == 1
    assert len(client.messages) == 5
    check(fun)
    assert len(client.messages) == 6


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("scatter", OSError("closed")),
        ("scatter", KeyError("b")),
        ("submit", OSError("closed")),
        ("holder", CancelledError()),
    ],
)
def test_a_worker_is_lost_while_partitions_are_sent(call, error):
    client = Client(a=1, b=1)
    client.refuses = {call: error}
    check(sum_over(part_fun, PARTS, map=dask_map(client)))
    assert len(client.workers) == 1
    assert client.held[min(client.workers)] == [0, 1, 2, 3, 4, 5]


def test_a_slow_worker_is_waited_for():
    client = Client(a=1)
    client.played = [[None] * 5]
    check(sum_over(part_fun, PARTS, map=dask_map(client, attempts=1)))
    assert client.played == []
    assert len(client.messages) == 1


def test_workers_are_lost_in_a_row():
    """As many as `attempts` are too many, and evaluations count anew."""
    client = Client(a=1, b=1, c=1, d=1, e=1)
    fun = sum_over(part_fun, PARTS, map=dask_map(client))
    lost = OSError("closed")
    for _ in range(2):
        client.played = [lost, None, None, None, None][: len(client.workers)]
        check(fun)
    assert len(client.workers) == 3
    client = Client(a=1, b=1, c=1, d=1)
    fun = sum_over(part_fun, PARTS, map=dask_map(client))
    client.played = [lost, None, None, None, lost]
    check(fun)
    assert len(client.workers) == 2
    client = Client(a=1, b=1, c=1, d=1)
    fun = sum_over(part_fun, PARTS, map=dask_map(client))
    client.played = [lost, None, None, None, lost, None, None, lost]
    with pytest.raises(PartitionError, match="workers were lost 3 times in a row"):
        fun(np.zeros(2))
    assert len(client.workers) == 1
    check(fun)


def test_an_error_of_loading_a_partition_is_that_of_the_map():
    client = Client(a=1)
    client.refuses = {"holder": FileNotFoundError("absent")}
    with pytest.raises(FileNotFoundError, match="absent"):
        sum_over(part_fun, PARTS, map=dask_map(client))(np.zeros(2))


def test_the_first_worker_may_come_late(clock):
    client = Client()
    fun = sum_over(part_fun, PARTS, map=dask_map(client))
    clock.asleep = lambda: client.workers.update({"a": 1} if clock.now > 159 else {})
    check(fun)
    assert client.held == {"a": [0, 1, 2, 3, 4, 5]}


@pytest.mark.parametrize(("given", "seconds"), [({}, 60.0), ({"timeout": 5.0}, 5.0)])
def test_no_worker_comes(clock, given, seconds):
    fun = sum_over(part_fun, PARTS, map=dask_map(Client(), **given))
    with pytest.raises(TimeoutError, match=f"no Dask worker appeared within {seconds} s"):
        fun(np.zeros(2))
    assert seconds <= clock.now - 100 <= seconds + 0.2


def test_a_scheduler_that_does_not_answer():
    client = Client()
    client.nthreads = lambda: 1 / 0
    fun = sum_over(part_fun, PARTS, map=dask_map(client))
    with pytest.raises(ZeroDivisionError):  # no fault of the scheduler
        fun(np.zeros(2))

    def nthreads():
        raise OSError("gone")

    client.nthreads = nthreads
    with pytest.raises(ConnectionError, match="the Dask scheduler does not answer: gone"):
        fun(np.zeros(2))
