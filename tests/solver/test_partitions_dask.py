"""`dask_map` on a real cluster of worker processes."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from rprop import PartitionError, dask_map, minimize_rprop, sum_over
from tests.solver.logistic import COLUMNS, ROWS, logistic, raises_on_last, same, split


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    import distributed

    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        yield client


@pytest.fixture(scope="module")
def serial():
    return minimize_rprop(sum_over(logistic, split(8)), np.zeros(COLUMNS), jac=True, maxiter=60)


def kill(cluster, which=0):
    os.kill(list(cluster.workers.values())[which].pid, signal.SIGKILL)


def test_dask_gives_the_serial_run(client, serial):
    fun = sum_over(logistic, split(8), map=dask_map(client))
    same(minimize_rprop(fun, np.zeros(COLUMNS), jac=True, maxiter=60), serial)


def test_dask_pins_partitions_and_sends_parameters_once(client):
    marked = [(Marked(part), None) for part in split(8)]
    fun = sum_over(where_am_i, marked, map=dask_map(client))
    first = fun(np.zeros(2))
    for _ in range(3):
        again = fun(np.ones(2))
        np.testing.assert_array_equal(again[1], first[1])
    assert Marked.pickled == 8


def test_dask_accepts_futures_as_partitions(client, serial):
    parts = client.map(load, range(8), pure=False)
    fun = sum_over(logistic, parts, map=dask_map(client))
    same(minimize_rprop(fun, np.zeros(COLUMNS), jac=True, maxiter=60), serial)


@pytest.mark.parametrize("futures", [False, True])
def test_dask_survives_a_killed_worker(client, cluster, serial, futures):
    parts = client.map(load, range(8), pure=False) if futures else split(8)
    summed = sum_over(logistic, parts, map=dask_map(client))
    evaluations = 0

    def fun(x):
        nonlocal evaluations
        evaluations += 1
        if evaluations == 20:
            kill(cluster)
        return summed(x)

    result = minimize_rprop(fun, np.zeros(COLUMNS), jac=True, maxiter=60)
    assert evaluations > 20
    same(result, serial)


def test_dask_survives_a_worker_killed_at_work(client, cluster):
    """The driver is waiting for an answer when the worker goes."""
    fun = sum_over(slow, range(4), map=dask_map(client))
    fun(np.zeros(1))
    threading.Timer(0.3, kill, [cluster]).start()
    loss, _ = fun(np.ones(1))
    assert loss == 6.0


def test_dask_names_a_partition_that_raises(client):
    parts = [(part, None if i == 5 else 0) for i, (part, _) in enumerate(split(8))]
    fun = sum_over(raises_on_last, parts, map=dask_map(client))
    assert fun(np.zeros(COLUMNS))[0] == pytest.approx(ROWS * np.log(2))
    with pytest.raises(PartitionError, match=r"partition 5 raised OSError\('no such file'\)"):
        minimize_rprop(fun, np.zeros(COLUMNS), jac=True)
    assert fun(np.zeros(COLUMNS))[0] == pytest.approx(ROWS * np.log(2))


def test_dask_gives_up_on_a_partition_that_kills_its_workers(client):
    fun = sum_over(deadly, range(2), map=dask_map(client, attempts=2))
    with pytest.raises(PartitionError, match="workers were lost 2 times in a row"):
        fun(np.zeros(1))


def test_dask_refuses_what_cannot_be_pickled(client):
    lock = threading.Lock()
    fun = sum_over(lambda x, part: (lock, x), range(2), map=dask_map(client))
    with pytest.raises(TypeError, match="pickle"):
        fun(np.zeros(1))


def test_dask_partitions_that_cannot_be_loaded(client):
    parts = client.map(Path.read_text, [Path("absent")], pure=False)
    with pytest.raises(FileNotFoundError, match="absent"):
        sum_over(slow, parts, map=dask_map(client))(np.zeros(1))


def test_dask_uses_the_threads_of_a_worker():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    options = {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=4, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        fun = sum_over(meet, range(4), map=dask_map(client))
        assert fun(np.zeros(1))[0] == 6.0


def test_dask_without_workers():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    options = {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with (
        distributed.LocalCluster(n_workers=0, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        fun = sum_over(slow, range(2), map=dask_map(client, timeout=0.5))
        with pytest.raises(TimeoutError, match="no Dask worker appeared"):
            fun(np.zeros(1))


class Marked:
    """A partition that counts how often it is pickled."""

    pickled = 0

    def __init__(self, part):
        self.part = part

    def __reduce__(self):
        Marked.pickled += 1
        return Marked, (self.part,)


def where_am_i(x, part):
    return 0.0, np.array([id(part), os.getpid()])


def load(i):
    return split(8)[i]


def slow(x, part):
    import time

    time.sleep(0.5 * x[0])
    return float(part), x


BARRIER = threading.Barrier(4)


def meet(x, part):
    BARRIER.wait(timeout=20)
    return float(part), x


def deadly(x, part):
    os.kill(os.getpid(), signal.SIGKILL)
