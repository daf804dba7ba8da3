"""Logistic regression over partitions that lie on the ranks of an MPI job.

Run it with ``mpiexec -n 2 python examples/mpi_logistic.py``; it needs mpi4py and an MPI library,
for example ``pip install mpi4py mpich``. Rank 0 runs the optimiser. Each rank makes its own
partitions; what crosses the network in an evaluation is the parameters, and one loss and one
gradient from each partition.
"""

import sys
from itertools import chain

import numpy as np
from mpi4py import MPI

from rprop import minimize_rprop, sum_over

PARTITIONS, ROWS, COLUMNS = 8, 2000, 20
TRUTH = np.random.default_rng(0).normal(size=COLUMNS)


def load(number):
    """Return features and labels of one partition; a real job would read a file."""
    rng = np.random.default_rng(1 + number)
    features = rng.normal(size=(ROWS, COLUMNS))
    return features, np.where(rng.random(ROWS) < 1 / (1 + np.exp(-features @ TRUTH)), 1.0, -1.0)


def logistic(x, number):
    """Return the negative log-likelihood of a partition and its gradient."""
    features, labels = MINE[number]
    margin = labels * (features @ x)
    slope = -labels * np.exp(-np.logaddexp(0, margin))
    return np.logaddexp(0, -margin).sum(), features.T @ slope


def attempt(task, items):
    """Apply a task; an exception is a result, so that no rank waits for one that gave up."""
    try:
        return [task(item) for item in items]
    except Exception as error:  # noqa: BLE001
        return error


def mpi_map(task, items):
    """Apply a task on every rank to the items that lie there: the `map` of rank 0."""
    COMM.bcast(task)
    answers = COMM.gather(attempt(task, items[:: COMM.size]))
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return chain.from_iterable(answers)


def serve():
    """Answer the tasks of rank 0 until it sends None."""
    items = list(enumerate(range(PARTITIONS)))[COMM.rank :: COMM.size]
    while (task := COMM.bcast(None)) is not None:
        COMM.gather(attempt(task, items))


def main():
    """Fit on all ranks and compare with a fit on this rank alone."""
    if COMM.rank:
        return serve()
    try:
        fun = sum_over(logistic, range(PARTITIONS), map=mpi_map)
        result = minimize_rprop(fun, np.zeros(COLUMNS), jac=True)
    finally:
        COMM.bcast(None)
    print(f"{COMM.size} ranks, {result.nit} iterations: {result.message}")
    MINE.update({number: load(number) for number in range(PARTITIONS)})
    alone = minimize_rprop(sum_over(logistic, range(PARTITIONS)), np.zeros(COLUMNS), jac=True)
    same = result.fun == alone.fun and (result.x == alone.x).all() and result.nit == alone.nit
    print("bit for bit the same as on one rank:", same)
    return 0 if same else 1


COMM = MPI.COMM_WORLD
MINE = {number: load(number) for number in range(COMM.rank, PARTITIONS, COMM.size)}

if __name__ == "__main__":
    sys.exit(main())
