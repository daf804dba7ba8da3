import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize

from rprop import PartitionError, dask_map, minimize_rprop, sum_over

ROWS, COLUMNS = 512, 6


def data(rows=ROWS, columns=COLUMNS, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, columns)) * 10.0 ** np.arange(-2, columns - 2)
    truth = rng.normal(size=columns) / 10.0 ** np.arange(-2, columns - 2)
    labels = rng.random(rows) < 1 / (1 + np.exp(-features @ truth))
    return features, np.where(labels, 1.0, -1.0)


def split(count, seed=None):
    rows = np.arange(ROWS)
    if seed is not None:
        np.random.default_rng(seed).shuffle(rows)
    features, labels = data()
    return [(features[part], labels[part]) for part in np.array_split(rows, count)]


def logistic(x, part):
    features, labels = part
    margin = labels * (features @ x)
    loss = np.logaddexp(0, -margin).sum()
    return loss, -(features * (labels * np.exp(-np.logaddexp(0, margin)))[:, None]).sum(axis=0)


def raises_on_last(x, part):
    if x[0] != 0 and part[1] is None:
        raise OSError("no such file")
    return logistic(x, (part[0], np.ones(len(part[0]))))


def same(result, other):
    assert result.status == other.status
    assert (result.nit, result.nfev) == (other.nit, other.nfev)
    assert result.fun == other.fun
    np.testing.assert_array_equal(result.x, other.x)
    np.testing.assert_array_equal(result.jac, other.jac)


def shuffled_map(task, items):
    results = [task(item) for item in items]
    random.Random(1).shuffle(results)
    return results


def test_sum_is_added_in_partition_order():
    parts = split(8)
    x = np.full(COLUMNS, 0.01)
    loss, gradient = 0.0, np.zeros(COLUMNS)
    for part in parts:
        loss += logistic(x, part)[0]
        gradient += logistic(x, part)[1]
    backwards = sum(logistic(x, part)[1] for part in reversed(parts))
    assert (gradient != backwards).any()  # the order can be told
    for map_like in (map, shuffled_map):
        found = sum_over(logistic, parts, map=map_like)(x)
        assert found[0] == loss
        np.testing.assert_array_equal(found[1], gradient)


@pytest.mark.parametrize("kind", ["threads", "processes", "pool", "shuffled"])
def test_any_map_gives_the_same_run(kind):
    parts = split(8)
    options = {"jac": True, "maxiter": 30}
    expected = minimize_rprop(sum_over(logistic, parts), np.zeros(COLUMNS), **options)
    assert expected.nit == 30
    if kind == "shuffled":
        result = minimize_rprop(
            sum_over(logistic, parts, shuffled_map), np.zeros(COLUMNS), **options
        )
        same(result, expected)
        return
    context = multiprocessing.get_context("spawn")
    pools = {
        "threads": lambda: ThreadPoolExecutor(2),
        "processes": lambda: ProcessPoolExecutor(2, mp_context=context),
        "pool": lambda: context.Pool(2),
    }
    with pools[kind]() as pool:
        fun = sum_over(logistic, parts, map=pool.map)
        same(minimize_rprop(fun, np.zeros(COLUMNS), **options), expected)


def test_further_arguments_reach_the_partitions():
    fun = sum_over(lambda x, part, scale: (scale * part * x[0], [scale * part]), [1.0, 2.0])
    loss, gradient = fun(np.array([4.0]), 10.0)
    assert loss == 120.0
    np.testing.assert_array_equal(gradient, [30.0])


def test_a_partition_cannot_write_to_the_parameters():
    def part_fun(x, part):
        x += 1

    with pytest.raises(PartitionError, match=r"partition 0 raised ValueError\(.*read-only"):
        sum_over(part_fun, [None])(np.zeros(2))


def test_longdouble_gradients_are_added_as_such():
    tiny = np.longdouble(2) ** -60

    def part_fun(x, part):
        return 0.0, np.array([part], np.longdouble)

    _, gradient = sum_over(part_fun, [np.longdouble(1), tiny])(np.zeros(1))
    assert gradient.dtype == np.longdouble
    assert gradient[0] == np.longdouble(1) + tiny


LOSSY = {
    "drops one": (lambda task, items: [task(item) for item in items[:3] + items[4:]], "none for 3"),
    "drops all": (lambda task, items: [], "none for 0, 1, 2, 3, 4"),
    "returns None": (lambda task, items: [None for _ in items], "got None"),
    "repeats": (lambda task, items: [task(items[0]) for _ in items], "two of 0"),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_map_that_loses_results(name):
    lossy, message = LOSSY[name]
    fun = sum_over(logistic, split(5), map=lossy)
    with pytest.raises(ValueError, match=f"map must return .*{message}"):
        fun(np.zeros(COLUMNS))


WRONG = {
    "no pair": (lambda x, part: 1.0, ValueError, r"got 1\.0 from partition 0"),
    "wrong shape": (
        lambda x, part: (1.0, x[:1]),
        ValueError,
        r"shape of x, \(2,\); got shape \(1,\)",
    ),
    "complex": (lambda x, part: (1.0, x * 1j), ValueError, "real gradient.*complex128"),
    "raises": (lambda x, part: 1 / 0, PartitionError, "partition 0 raised ZeroDivisionError"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_partition_that_goes_wrong(name):
    part_fun, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        sum_over(part_fun, [None])(np.zeros(2))


def test_mpi_example_runs_on_two_ranks():
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    mpiexec = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("mpiexec is not installed")
    root = Path(__file__).parents[2]
    command = [mpiexec, "-n", "2", sys.executable, "examples/mpi_logistic.py"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "2 ranks" in run.stdout
    assert "bit for bit the same as on one rank: True" in run.stdout


def test_bad_arguments():
    with pytest.raises(ValueError, match="parts must hold at least one partition; got none"):
        sum_over(logistic, [])
    with pytest.raises(TypeError, match="part_fun must be callable; got 1"):
        sum_over(1, [1])
    with pytest.raises(TypeError, match="map must be callable; got 2"):
        sum_over(logistic, [1], map=2)


def test_a_failing_partition_is_named_through_processes():
    parts = [(part, None if i == 2 else 0) for i, (part, _) in enumerate(split(4))]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        fun = sum_over(raises_on_last, parts, map=pool.map)
        with pytest.raises(PartitionError, match=r"partition 2 raised OSError\('no such file'\)"):
            minimize_rprop(fun, np.zeros(COLUMNS), jac=True)


# Iterates do not depend on the partition


def safe(x):
    """Tell whether rounding could decide the sign of a component of the gradient at x.

    Any order of adding N numbers gives a sum within N eps times the sum of their magnitudes.
    """
    features, labels = data()
    weight = np.exp(-np.logaddexp(0, labels * (features @ x)))
    terms = -features * (labels * weight)[:, None]
    exact = np.array([math.fsum(column) for column in terms.T])
    rounding = (ROWS + 8) * np.finfo(float).eps * abs(terms).sum(axis=0)
    return (abs(exact) > rounding).all()


def iterates(fun, variant, iterations):
    options = {
        "variant": variant,
        "delta0": 0.01,
        "maxiter": iterations,
        "gtol": 0,
        "xtol": 0,
        "ftol": 0,
    }
    return minimize_rprop(fun, np.zeros(COLUMNS), jac=True, return_all=True, **options).allvecs


def test_iterates_do_not_depend_on_the_partitions():
    whole = iterates(sum_over(logistic, split(1)), "irprop-", 400)
    length = next((k for k, x in enumerate(whole) if not safe(x)), len(whole))
    assert length > 100
    gradients = set()
    for count in (2, 8, 64):
        for seed in (None, 1, 2):
            fun = sum_over(logistic, split(count, seed))
            gradients.add(fun(whole[1])[1].tobytes())
            others = iterates(fun, "irprop-", 400)
            np.testing.assert_array_equal(others[: length + 1], whole[: length + 1])
    assert len(gradients) > 3  # the gradients themselves do depend on them


def test_iterates_of_a_line_search_depend_on_the_partitions():
    """L-BFGS-B leaves the common path at its first step."""
    paths = []
    for count in (2, 8, 64):
        path = []
        options = {"maxiter": 3, "ftol": 0, "gtol": 0}
        fun = sum_over(logistic, split(count, seed=1))
        scipy.optimize.minimize(
            fun, np.zeros(COLUMNS), jac=True, callback=lambda x, path=path: path.append(x.copy()),
            method="L-BFGS-B", options=options,
        )  # fmt: skip
        paths.append(path)
    assert len({path[0].tobytes() for path in paths}) > 1


# A real cluster


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
