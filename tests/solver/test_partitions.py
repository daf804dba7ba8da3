import math
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize

from rprop import PartitionError, minimize_rprop, sum_over
from tests.solver.logistic import (
    COLUMNS,
    ROWS,
    data,
    dies_on_last,
    logistic,
    raises_on_last,
    same,
    split,
)


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


def test_what_is_not_finite_is_added_in_silence():
    fun = sum_over(lambda x, part: (part, [part, 1e308]), [np.inf, -np.inf])
    loss, gradient = fun(np.zeros(2))
    np.testing.assert_array_equal([loss, *gradient], [np.nan, np.nan, np.inf])


LOSSY = {
    "drops one": (lambda task, items: [task(item) for item in items[:3] + items[4:]], "none for 3"),
    "drops all": (lambda task, items: [], "none for 0, 1, 2, 3, 4"),
    "returns None": (lambda task, items: [None for _ in items], "got None"),
    "invents one": (
        lambda task, items: [task(item) for item in [*items, (5, items[0][1])]],
        "of the 5 partitions.*number 5",
    ),
    "counts from one": (
        lambda task, items: [task((number + 1, part)) for number, part in items],
        "of the 5 partitions.*number 5",
    ),
    "negative": (
        lambda task, items: [task((number - 5, part)) for number, part in items],
        "of the 5 partitions.*number -5",
    ),
    "repeats": (lambda task, items: [task(items[0]) for _ in items], "two of 0"),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_map_that_loses_results(name):
    lossy, message = LOSSY[name]
    fun = sum_over(logistic, split(5), map=lossy)
    with pytest.raises(ValueError, match=f"map must return .*{message}"):
        fun(np.zeros(COLUMNS))


def test_a_map_that_returns_nothing():
    fun = sum_over(logistic, split(5), map=lambda task, items: None)
    with pytest.raises(ValueError, match=r"map must return .* in an iterable; got None"):
        fun(np.zeros(COLUMNS))


def test_a_map_that_is_late():
    """What was left by an evaluation that failed is no part of the next one."""
    left = []

    def late(task, items):
        left.extend(task(item) for item in items)
        return [left.pop(0) for _ in items[1:]]

    fun = sum_over(lambda x, part: (part, [part]), [1.0, 2.0], late)
    with pytest.raises(ValueError, match="none for 1"):
        fun(np.zeros(1))
    message = "this evaluation, number 1; got one of partition 1 from number 0: empty what `map`"
    with pytest.raises(ValueError, match=message):
        fun(np.zeros(1))
    left.clear()
    with pytest.raises(ValueError, match="none for 1"):
        fun(np.zeros(1))


def test_no_map_can_take_partitions_away():
    def greedy(task, items):
        with suppress(AttributeError):
            items.pop()
        return [task(item) for item in items]

    fun = sum_over(lambda x, part: (part, [part]), [1.0, 2.0], greedy)
    assert [fun(np.zeros(1))[0] for _ in range(2)] == [3.0, 3.0]


def test_a_partition_that_ends_its_program_is_named_and_the_pool_goes_on():
    def part_fun(x, part):
        return sys.exit("no data") if x[0] == part else (part, x)

    with ThreadPool(2) as pool:  # waits for ever for a thread that has ended
        fun = sum_over(part_fun, [1.0, 2.0], lambda *given: pool.map_async(*given).get(timeout=10))
        with pytest.raises(PartitionError, match=r"partition 1 raised SystemExit\('no data'\)"):
            fun(np.full(1, 2.0))
        assert fun(np.zeros(1))[0] == 3.0


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
        dying = sum_over(dies_on_last, parts, map=pool.map)
        with pytest.raises(BrokenProcessPool):  # it does not wait for ever
            minimize_rprop(dying, np.zeros(COLUMNS), jac=True)


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
