"""What goes wrong on real worker processes ends in time, with an error that has a name."""

import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from rprop import PartitionError, dask_map, minimize_rprop, sum_over
from tests.solver.logistic import COLUMNS, logistic, same, split

pytestmark = pytest.mark.exhaustive


@contextmanager
def running(**options):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, **options}
    with (
        distributed.LocalCluster(
            host="127.0.0.1", dashboard_address="127.0.0.1:0", **options
        ) as cluster,
        distributed.Client(cluster, timeout=5) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        yield cluster, client


@contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_a_scheduler_that_goes_in_the_middle(tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    file = str(tmp_path / "scheduler.json")
    command = [sys.executable, "-m", "distributed.cli.dask_"]
    options = ["--scheduler-file", file, "--host", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        programs = []
        for kind, more in (("scheduler", ["--port", "0"]), ("worker", ["--no-nanny"])):
            line = [*command[:-1], command[-1] + kind, *options, "--no-dashboard", *more]
            programs.append(stack.enter_context(subprocess.Popen(line, **quiet)))
            stack.callback(programs[-1].kill)
        client = stack.enter_context(distributed.Client(scheduler_file=file, timeout=60))
        client.wait_for_workers(1, timeout=60)
        fun = sum_over(slow, range(4), map=dask_map(client, timeout=2))
        fun(np.zeros(1))
        threading.Timer(0.5, programs[0].kill).start()
        with (
            within(200),
            pytest.raises(ConnectionError, match="the Dask scheduler does not answer"),
        ):
            count_on(fun)


def test_a_partition_that_needs_more_memory_than_there_is():
    with running(memory_limit="300 MiB") as (_, client):
        fun = sum_over(greedy, range(2), map=dask_map(client, attempts=2))
        with within(120), pytest.raises(PartitionError, match="workers were lost 2 times in a row"):
            fun(np.zeros(1))


def test_a_slow_worker_is_waited_for():
    with running() as (_, client):
        fun = sum_over(one_is_slow, range(2), map=dask_map(client))
        with within(60):
            assert fun(np.zeros(1))[0] == 1.0


def test_workers_that_are_restarted():
    serial = minimize_rprop(sum_over(logistic, split(8)), np.zeros(COLUMNS), jac=True, maxiter=30)
    with running() as (_, client):
        summed = sum_over(logistic, split(8), map=dask_map(client))
        calls = []

        def fun(x):
            calls.append(1)
            if len(calls) == 10:
                client.restart(timeout=60)
            return summed(x)

        with within(120):
            same(minimize_rprop(fun, np.zeros(COLUMNS), jac=True, maxiter=30), serial)
        assert len(calls) > 10


def test_a_result_that_cannot_be_pickled():
    with running() as (_, client):
        fun = sum_over(a_lock, range(2), map=dask_map(client))
        with within(60), pytest.raises((TypeError, PartitionError, ValueError), match=r"\w"):
            fun(np.zeros(1))


def count_on(fun):
    for _ in range(100):
        fun(np.ones(1))


def slow(x, part):
    time.sleep(0.3 * x[0])
    return float(part), x


def one_is_slow(x, part):
    time.sleep(4 * part)
    return float(part), x


def greedy(x, part):
    hoard = []
    for _ in range(200):
        hoard.append(np.ones(2**21))  # 16 MiB
        time.sleep(0.05)
    return float(len(hoard)), x


def a_lock(x, part):
    return 0.0, threading.Lock()
